/** PgBouncer is stopped, in each of its ways, while the transaction of a handler runs through it. */
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { hasPgBouncer, startPgBouncer } from "@oncekey/test-support/postgres/pgbouncer";
import type { Pooler } from "@oncekey/test-support/postgres/pgbouncer";
import { createGate } from "../support/gate.ts";
import { withShop } from "../support/shop.ts";
import type { Answer } from "../support/shop.ts";

const UNABLE = hasPgBouncer ? "" : " (not tried: the program pgbouncer is not on this machine)";
const database = withDatabase();
let direct: pg.Pool;
beforeAll(async () => {
  direct = database.pool();
  await direct.query("create table effects (key text)");
});

describe.skipIf(!hasPgBouncer)(`a PgBouncer that ends while a handler runs${UNABLE}`, () => {
  it("at once, by SIGQUIT: 503, nothing is kept, and the retry runs", async () => {
    await interrupted("quit", "SIGQUIT", async (pooler, answer, retry) => {
      await pooler.gone;
      expect((await answer()).json()).toMatchObject({ code: "idempotency_unavailable" });
      expect((await retry()).headers.get("idempotent-replayed")).toBe(null);
    });
  });

  it("by SIGINT: it lets the transaction come to its end first, and the retry replays", async () => {
    await interrupted("interrupt", "SIGINT", async (pooler, answer, retry) => {
      const first = await answer();
      expect(first.status).toBe(201);
      await pooler.gone;
      const again = await retry();
      expect([again.text, again.headers.get("idempotent-replayed")]).toEqual([first.text, "true"]);
    });
  });

  it("by SIGTERM, at once or in order as its version has it: one effect, and an answer that stands", async () => {
    await interrupted("terminate", "SIGTERM", async (_pooler, answer, retry) => {
      const first = await answer();
      const again = await retry();
      if (first.status === 201) expect(again.text).toBe(first.text);
      else expect(first.status).toBe(503);
    });
  });
});

/** Handler that stops the pooler half-way: `answer` lets it go on, `retry` asks another server past the pooler. */
async function interrupted(
  key: string,
  signal: NodeJS.Signals,
  use: (
    pooler: Pooler,
    answer: () => Promise<Answer>,
    retry: () => Promise<Answer>,
  ) => Promise<void>,
): Promise<void> {
  const pooler = await startPgBouncer(database.url);
  const gate = createGate();
  const pooled = database.pool({ connectionString: pooler.url });
  const shop = (pool: pg.Pool, then: Parameters<typeof withShop>[2]): Promise<void> =>
    withShop(
      { pool, sweep: false },
      (app) =>
        app.post("/pay", { config: { idempotency: true } }, async (request, reply) => {
          await request.idempotency.tx.query("insert into effects values ($1)", [key]);
          await gate.pass();
          return reply.code(201).send({ paid: crypto.randomUUID() });
        }),
      then,
    );
  try {
    await shop(pooled, (one) =>
      shop(direct, async (two) => {
        const first = one.post("/pay", { key });
        await gate.reached;
        pooler.signal(signal);
        const answer = (): Promise<Answer> => {
          gate.open();
          return first;
        };
        await use(pooler, answer, () => two.post("/pay", { key }));
      }),
    );
    const { rowCount } = await direct.query("select from effects where key = $1", [key]);
    expect(rowCount).toBe(1);
  } finally {
    await pooled.end();
    await pooler.stop();
  }
}
