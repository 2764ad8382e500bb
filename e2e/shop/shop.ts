/** The shop: one handler that charges a card, once behind Oncekey and once as most shops have it. */
import { setTimeout as sleep } from "node:timers/promises";
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type { Pool, PoolClient } from "pg";
import { shopperOf } from "./shopper.ts";
import type { Order, Receipt, Via } from "./wire.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** The signed-in shopper. */
    shopper: string;
  }
}

const TABLES = `
create table if not exists charges (
  id bigint generated always as identity primary key,
  shopper text not null,
  cart text not null,
  via text not null,
  amount_cents integer not null,
  created_at timestamptz not null default now()
);
create table if not exists orders (
  id bigint generated always as identity primary key,
  charge_id bigint not null references charges,
  cart text not null
);`;

export async function createTables(pool: Pool): Promise<void> {
  await pool.query(TABLES);
}

const ORDER_SCHEMA = {
  type: "object",
  required: ["cart", "amountCents"],
  additionalProperties: false,
  properties: {
    cart: { type: "string", minLength: 1, maxLength: 100 },
    amountCents: { type: "integer", minimum: 1, maximum: 100_000_00 },
  },
};
const schema = { body: ORDER_SCHEMA };
/** Half a day: less than the clock in the demo is wrong by. */
const MAX_KEY_AGE_MS = 43_200_000;
/** Duration of a call to the card network: long enough to click twice, and to be killed in. */
const CARD_MS = 150;

/** The shop on a pool that is lent to it. `createTables` and Oncekey's `migrate` have run. */
export async function createShop(pool: Pool): Promise<FastifyInstance> {
  const app = Fastify({ logger: { level: "error", stream: process.stderr } });
  app.decorateRequest("shopper", "");
  app.addHook("onRequest", async (request, reply) => {
    const shopper = shopperOf(request.headers.cookie);
    if (shopper === undefined) return reply.code(401).send({ error: "Sign in first" });
    request.shopper = shopper;
    return undefined;
  });
  await app.register(idempotency, {
    pool,
    scope: (request) => request.shopper,
    maxKeyAgeMs: MAX_KEY_AGE_MS,
  });

  app.post<{ Body: Order }>(
    "/orders",
    { schema, config: { idempotency: true } },
    async (request, reply) => {
      const { tx } = request.idempotency;
      const receipt = await pay(tx, { ...request.body, shopper: request.shopper, via: "oncekey" });
      return receipt === undefined
        ? reply.code(402).send({ error: "The card was declined" })
        : reply.code(201).send(receipt);
    },
  );

  app.post<{ Body: Order }>("/plain/orders", { schema }, async (request, reply) => {
    const purchase: Purchase = { ...request.body, shopper: request.shopper, via: "plain" };
    const receipt = await inTransaction(pool, (client) => pay(client, purchase));
    return receipt === undefined
      ? reply.code(402).send({ error: "The card was declined" })
      : reply.code(201).send(receipt);
  });
  return app;
}

interface Purchase extends Order {
  readonly shopper: string;
  readonly via: Via;
}

/** Charges the card and books the order; `undefined` if the card is declined. */
async function pay(db: PoolClient, purchase: Purchase): Promise<Receipt | undefined> {
  const { shopper, cart, via, amountCents } = purchase;
  if (isDeclined(amountCents)) return undefined;
  const charge = await insert(
    db,
    "insert into charges (shopper, cart, via, amount_cents) values ($1, $2, $3, $4) returning id",
    [shopper, cart, via, amountCents],
  );
  await sleep(CARD_MS);
  const order = await insert(
    db,
    "insert into orders (charge_id, cart) values ($1, $2) returning id",
    [charge, cart],
  );
  return { order, charge, amountCents };
}

/** The card that this shop knows declines every amount that ends in .13. */
function isDeclined(amountCents: number): boolean {
  return amountCents % 100 === 13;
}

async function insert(db: PoolClient, sql: string, values: unknown[]): Promise<string> {
  const { rows } = await db.query<{ id: string }>(sql, values);
  const [row] = rows;
  if (row === undefined) throw new Error("the insert returned no row");
  return row.id;
}

async function inTransaction<Result>(
  pool: Pool,
  work: (client: PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    const result = await work(client);
    await client.query("commit");
    client.release();
    return result;
  } catch (error) {
    client.release(true);
    throw error;
  }
}
