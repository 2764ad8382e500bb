import { PrismaPg } from "@prisma/adapter-pg";
import type { FastifyRequest } from "fastify";
import pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { countPayments, createPayments, withShop } from "../support/shop.ts";
import { innerClient } from "./inner-client.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

/** A pool of one client: Prisma's adapter takes nothing less than a `pg.Pool`. */
function poolOf(tx: pg.PoolClient): pg.Pool {
  const client = innerClient(tx);
  const query = (asked: pg.QueryConfig): Promise<pg.QueryResult> => client.query(asked);
  return Object.assign(new pg.Pool(), { query, connect: async () => client });
}

// What Prisma's engine asks of the adapter. The generated client is left out: its generator downloads a program.
const INSERT = "insert into payments (amount) values ($1) returning id";
const insertOf = (amount: number) => ({
  sql: INSERT,
  args: [amount],
  argTypes: [{ scalarType: "int" as const, arity: "scalar" as const }],
});
const bare = (sql: string) => ({ sql, args: [], argTypes: [] });

type End = "COMMIT" | "ROLLBACK";

async function pay(request: FastifyRequest, end: End): Promise<unknown> {
  const adapter = await new PrismaPg(poolOf(request.idempotency.tx)).connect();
  const { rows } = await adapter.queryRaw(insertOf(1));
  const transaction = await adapter.startTransaction();
  await transaction.executeRaw(insertOf(2));
  await transaction.executeRaw(bare(end));
  await (end === "COMMIT" ? transaction.commit() : transaction.rollback());
  await adapter.dispose();
  return rows[0];
}

describe("Prisma's driver adapter over request.idempotency.tx", () => {
  it.each<[End, number]>([
    ["COMMIT", 2],
    ["ROLLBACK", 1],
  ])(
    "takes part in the one commit, and a transaction of its own is a part of it: %s",
    async (end, count) => {
      await withShop(
        { pool },
        (app) => app.post("/do", { config: { idempotency: true } }, (request) => pay(request, end)),
        async ({ post }) => {
          const key = crypto.randomUUID();
          const before = await countPayments(pool);
          const [first, again] = [await post("/do", { key }), await post("/do", { key })];
          expect([first.status, again.headers.get("idempotent-replayed")]).toEqual([200, "true"]);
          expect(again.text).toBe(first.text);
          expect((await countPayments(pool)) - before).toBe(count);
          const { rows } = await pool.query("select from oncekey.records where key = $1", [key]);
          expect(rows).toHaveLength(1);
        },
      );
    },
  );

  it.each<End>(["COMMIT", "ROLLBACK"])(
    "has all its writes rolled back with a handler that fails after its %s",
    async (end) => {
      await withShop(
        { pool },
        (app) =>
          app.post("/do", { config: { idempotency: true } }, async (request) => {
            await pay(request, end);
            throw new Error("afterwards");
          }),
        async ({ post }) => {
          const before = await countPayments(pool);
          expect((await post("/do", { key: crypto.randomUUID() })).status).toBe(500);
          expect(await countPayments(pool)).toBe(before);
        },
      );
    },
  );
});
