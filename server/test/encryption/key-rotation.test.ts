/** Two servers over one pool whose keys are not the same: what one cannot read is neither another request nor nothing. */
import { randomBytes } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import type { EncryptionOptions, Strategy } from "@oncekey/server";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { withShop } from "../support/shop.ts";
import type { Answer, Shop, ShopOptions } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const older = { id: "2026-01", secret: randomBytes(32) };
const newer = { id: "2026-02", secret: randomBytes(32) };

const SERVERS = {
  keyless: undefined,
  old: { keys: [older] },
  "old, new": { keys: [older, newer] },
  "new, old": { keys: [newer, older] },
  new: { keys: [newer] },
  "old, plaintext read": { keys: [older], plaintext: "read" },
} satisfies Record<string, EncryptionOptions | undefined>;

interface Rolling {
  readonly began: keyof typeof SERVERS;
  readonly retried: keyof typeof SERVERS;
  /** Whether the second can read what the first has begun; if not, every caller gets the same refusal. */
  readonly running: "told" | "untold";
  /** The same of a lease that is over, which it goes on with. */
  readonly crashed: "told" | "untold";
}

const ROLLING: readonly Rolling[] = [
  { began: "old", retried: "new, old", running: "told", crashed: "told" },
  { began: "new, old", retried: "old, new", running: "told", crashed: "told" },
  { began: "new, old", retried: "old", running: "untold", crashed: "untold" },
  { began: "old", retried: "new", running: "untold", crashed: "untold" },
  { began: "old", retried: "keyless", running: "untold", crashed: "untold" },
  { began: "keyless", retried: "old", running: "told", crashed: "untold" },
  { began: "keyless", retried: "old, plaintext read", running: "told", crashed: "told" },
  { began: "old, plaintext read", retried: "old", running: "told", crashed: "told" },
  { began: "old, plaintext read", retried: "keyless", running: "untold", crashed: "untold" },
];

const same = { amount: 1 };
const other = { amount: 2 };

/** Options that refuse another request as soon as it is known to be one. */
function optionsOf(name: keyof typeof SERVERS, strategy: Strategy): ShopOptions {
  const encryption = SERVERS[name];
  return {
    pool,
    strategy,
    lease: { onCrash: "rerun" },
    mismatch: "reject",
    inFlight: "reject",
    ...(encryption && { encryption }),
  };
}

function withBoth(
  { began, retried }: Rolling,
  strategy: Strategy,
  [first, second]: readonly [Routes, Routes],
  use: (one: Shop, two: Shop) => Promise<void>,
): Promise<void> {
  return withShop(optionsOf(began, strategy), first, (one) =>
    withShop(optionsOf(retried, strategy), second, (two) => use(one, two)),
  );
}

type Routes = (app: FastifyInstance) => unknown;

function paying(pay: () => unknown): Routes {
  return (app) => app.post("/pay", { config: { idempotency: true } }, async () => pay());
}

function tell(answer: Answer): unknown {
  return answer.status === 200 ? answer.text : answer.json()["code"];
}

const fail = (): never => {
  throw new Error("crash");
};

describe.each(ROLLING)(
  "begun on a server with keys $began, retried on one with $retried",
  (rolling) => {
    it.each<Strategy>(["row", "lease"])(
      `is in flight while it runs, and another request is ${rolling.running}: %s`,
      async (strategy) => {
        const gate = createGate();
        const key = crypto.randomUUID();
        const slow = paying(async () => {
          await gate.pass();
          return "paid";
        });
        await withBoth(rolling, strategy, [slow, paying(() => "paid twice")], async (one, two) => {
          const first = one.post("/pay", { key, json: same });
          await gate.reached;
          try {
            for (const headers of [{}, { "idempotency-only-if-stored": "true" }]) {
              const retry = await two.post("/pay", { key, json: same, headers });
              expect(tell(retry)).toBe("idempotency_in_flight");
              const another = await two.post("/pay", { key, json: other, headers });
              expect(tell(another)).toBe(
                rolling.running === "told" ? "idempotency_conflict" : "idempotency_in_flight",
              );
            }
          } finally {
            gate.open();
            await Promise.allSettled([first]);
          }
          expect(tell(await first)).toBe("paid");
          expect(tell(await one.post("/pay", { key, json: same })), "still its own").toBe("paid");
        });
      },
    );

    it(`is gone on with after a crash where it is ${rolling.crashed}: lease`, async () => {
      const key = crypto.randomUUID();
      await withBoth(rolling, "lease", [paying(fail), paying(() => "paid")], async (one, two) => {
        expect((await one.post("/pay", { key, json: same })).status).toBe(500);
        const answers = [other, same].map((json) => () => two.post("/pay", { key, json }));
        for (const [index, ask] of answers.entries()) {
          const told = ["idempotency_conflict", "paid"][index];
          expect(tell(await ask())).toBe(
            rolling.crashed === "told" ? told : "idempotency_unavailable",
          );
        }
      });
    });

    it("leaves nothing behind that would be in the way: row", async () => {
      const key = crypto.randomUUID();
      await withBoth(rolling, "row", [paying(fail), paying(() => "paid")], async (one, two) => {
        expect((await one.post("/pay", { key, json: same })).status).toBe(500);
        expect(tell(await two.post("/pay", { key, json: same }))).toBe("paid");
      });
    });
  },
);
