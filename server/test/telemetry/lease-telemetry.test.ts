import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import type { Gate } from "../support/gate.ts";
import { listening } from "../support/listening.ts";
import { withShop } from "../support/shop.ts";
import type { Shop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

async function withLease(use: (shop: Shop, gate: Gate) => Promise<void>): Promise<void> {
  const gate = createGate();
  const lease = { durationMs: 1_000, onCrash: "rerun" } as const;
  await withShop(
    { pool, strategy: "lease", lease },
    (app) => {
      app.post("/charge", { config: { idempotency: true } }, async () => {
        await gate.pass();
        return "done";
      });
    },
    (shop) => use(shop, gate),
  );
}

async function takeOver(key: string): Promise<void> {
  await pool.query("update oncekey.records set owner = gen_random_uuid() where key = $1", [key]);
}

describe("a lease", () => {
  it("publishes each heartbeat, and once that another owner has the lease", async () => {
    await listening("oncekey:heartbeat", (beats) =>
      listening("oncekey:lease-lost", (losses) =>
        withLease(async ({ post }, gate) => {
          const key = crypto.randomUUID();
          const answer = post("/charge", { key });
          await expect.poll(() => beats.map(({ outcome }) => outcome)).toContain("renewed");
          await takeOver(key);
          await expect.poll(() => losses.length).toBe(1);
          gate.open();
          expect((await answer).status).toBe(409);
          expect(beats.at(-1)?.outcome).toBe("taken-over");
          expect(beats.at(-1)?.beatMs).toBeGreaterThan(0);
          expect(losses).toEqual([
            { keyDigest: beats[0]?.keyDigest, reason: "another owner took the claim over" },
          ]);
        }),
      ),
    );
  });

  it("publishes a lost lease also if the loss is found when the response is stored", async () => {
    await listening("oncekey:complete", (ends) =>
      listening("oncekey:lease-lost", (losses) =>
        withLease(async ({ post }, gate) => {
          const key = crypto.randomUUID();
          const answer = post("/charge", { key });
          await gate.reached;
          await takeOver(key);
          gate.open();
          expect((await answer).status).toBe(409);
          expect(ends.map(({ strategy, outcome }) => [strategy, outcome])).toEqual([
            ["lease", "lost"],
          ]);
          expect(losses.length).toBe(1);
        }),
      ),
    );
  });
});
