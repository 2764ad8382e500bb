import { transactional } from "@oncekey/server";
import type pg from "pg";
import { expect, it } from "vitest";
import { withShop } from "../support/shop.ts";
import { withPayments } from "./payments.ts";
import { protect } from "./with-library.ts";

const { database, committed } = withPayments();

/** Runs `use` with a client of the transactional pool in one protected request, and returns the request's status. */
async function withClient(
  pool: pg.Pool,
  use: (client: pg.PoolClient & Record<string, unknown>) => Promise<void>,
): Promise<number> {
  const db = transactional(pool);
  let status = 0;
  await withShop(
    { pool },
    (app) =>
      app.post("/do", protect, async () => {
        const client = await db.connect();
        await use(client as typeof client & Record<string, unknown>);
        await db.query("insert into payments (amount) values (1)");
        return "done";
      }),
    async ({ post }) => {
      ({ status } = await post("/do", { key: crypto.randomUUID() }));
    },
  );
  return status;
}

it("a mark that a library leaves on its client does not stay on the connection", async () => {
  const pool = database.pool({ max: 1 });
  const status = await withClient(pool, async (client) => {
    client["__knex__disposed"] = "a timeout of this request";
    client["__knexTxId"] = "trx1";
    delete client["__knexTxId"];
    expect([client["__knex__disposed"], client["__knexTxId"]]).toEqual([
      "a timeout of this request",
      undefined,
    ]);
    client.release();
  });
  expect(status).toBe(200);
  const connection = await pool.connect();
  expect(Object.keys(connection).filter((name) => name.startsWith("__knex"))).toEqual([]);
  connection.release();
});

it("a library that ends or destroys its client leaves the handler's connection alone", async () => {
  const status = await withClient(database.pool({ max: 1 }), async (client) => {
    await (client as unknown as pg.Client).end();
    client.release(true);
  });
  expect([status, await committed()]).toEqual([200, [1]]);
});
