/** PgBouncer forwards a cancel request only for a client that is still connected to it. */
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { hasPgBouncer, withPgBouncer } from "@oncekey/test-support/postgres/pgbouncer";
import { withShop } from "../support/shop.ts";

const UNABLE = hasPgBouncer ? "" : " (not tried: the program pgbouncer is not on this machine)";
const database = withDatabase();
let direct: pg.Pool;
beforeAll(() => {
  direct = database.pool();
});

describe.skipIf(!hasPgBouncer)(`a handler's statement behind PgBouncer${UNABLE}`, () => {
  it("is cancelled in Postgres when maxHandlerMs has passed", async () => {
    await withPgBouncer(database.url, {}, async (url) => {
      const pool = database.pool({ connectionString: url });
      await withShop(
        { pool, sweep: false, maxHandlerMs: 200 },
        (app) =>
          app.post("/pay", { config: { idempotency: true } }, async (request) => {
            // Disables Postgres' own statement timeout of 30 s, so that only a cancel request ends the statement.
            await request.idempotency.tx.query("set local statement_timeout = 0");
            await request.idempotency.tx.query("select pg_sleep(100000)");
          }),
        async ({ post }) => {
          const answer = await post("/pay", { key: "cancelled" });
          expect(answer.json()).toMatchObject({ status: 503, code: "idempotency_unavailable" });
          const sleeping = async (): Promise<number | null> => {
            const found = await direct.query(
              "select from pg_stat_activity where state = 'active' and query like 'select pg_sleep%'",
            );
            return found.rowCount;
          };
          await expect.poll(sleeping).toBe(0);
        },
      );
      await pool.end();
    });
  });
});
