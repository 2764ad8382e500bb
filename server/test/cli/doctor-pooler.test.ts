import { describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { hasPgBouncer, withPgBouncer } from "@oncekey/test-support/postgres/pgbouncer";
import { diagnose } from "./diagnose.ts";

const database = withDatabase();

describe.skipIf(!hasPgBouncer)(
  `oncekey doctor through PgBouncer${hasPgBouncer ? "" : " (not tried: the program pgbouncer is not on this machine)"}`,
  () => {
    it.each([{ roundRobin: false }, { roundRobin: true }])(
      "recognises transaction mode, and finds that locks hold there (server_round_robin: $roundRobin)",
      async ({ roundRobin }) => {
        await withPgBouncer(database.url, { mode: "transaction", roundRobin }, async (url) => {
          const findings = await diagnose(url, 1);
          expect(findings["pooler"]).toMatchObject({
            verdict: "ok",
            found: expect.stringContaining("transaction mode"),
          });
          expect(findings["advisory locks"]?.verdict).toBe("ok");
          expect(findings["schema"]?.verdict).toBe("ok");
        });
      },
    );

    it("distinguishes a pooler in session mode from a direct connection", async () => {
      await withPgBouncer(database.url, { mode: "session" }, async (url) => {
        const { pooler } = await diagnose(url, 1);
        expect(pooler).toMatchObject({
          verdict: "ok",
          found: "one that keeps a server connection for each session",
        });
      });
      expect((await diagnose(database.url, 1))["pooler"]?.found).toContain("none");
    });

    it("fails in statement mode, which has no transactions, and stops there", async () => {
      await withPgBouncer(database.url, { mode: "statement" }, async (url) => {
        const findings = await diagnose(url, 1);
        expect(Object.keys(findings).at(-1)).toBe("pooler");
        expect(findings["pooler"]).toMatchObject({
          verdict: "fail",
          advice: "set pool_mode = transaction",
        });
      });
    });
  },
);
