/** A table of orders, and requests with a key, for tests of frameworks and libraries. */
import { Pool } from "pg";
import { afterAll, beforeAll } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { post as send } from "../shop/request.ts";

export interface Orders {
  /** Lent to the server under test until the end of the file. */
  readonly pool: Pool;
  readonly url: string;
  readonly count: () => Promise<number>;
}

/** The handler's statement. */
export const INSERT = "insert into orders (sku) values ($1) returning id";

/** Gives the test file that calls it one database with an empty table of orders. */
export function withOrders(): () => Orders {
  const database = withDatabase();
  let pool: Pool | undefined;
  beforeAll(async () => {
    pool = new Pool({ connectionString: database.url, max: 5 });
    // graphile-worker warns about pools without listeners.
    pool.on("error", () => undefined);
    pool.on("connect", (client) => client.on("error", () => undefined));
    await pool.query("create table orders (id serial primary key, sku text not null)");
  });
  afterAll(() => pool?.end());
  return () => {
    const opened = pool;
    if (opened === undefined) throw new Error("there is no database before the tests run");
    return {
      pool: opened,
      url: database.url,
      async count() {
        const sql = "select count(*)::int as count from orders";
        const { rows } = await opened.query<{ count: number }>(sql);
        return rows[0]?.count ?? -1;
      },
    };
  };
}

/** Sends a POST with a key and a JSON body, and parses the answer. */
export async function post(url: string, key: string, json: unknown) {
  const [answer] = await send(url, { key, json });
  return { ...answer, body: JSON.parse(answer.body) as unknown };
}
