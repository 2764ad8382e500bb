/** A small shop on a real socket, with one protected route as each test configures it. */
import { idempotency } from "@oncekey/server";
import type { IdempotencyOptions, RouteIdempotencyOptions } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type pg from "pg";

export interface Shop {
  readonly app: FastifyInstance;
  readonly url: string;
  readonly pool: pg.Pool;
  /** Sends a POST with a key and a JSON body. */
  readonly post: (path: string, request?: ShopRequest) => Promise<Answer>;
}

export interface ShopRequest {
  readonly key?: string | undefined;
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly bytes: Buffer;
  /** The body as JSON; throws where it is none. */
  json(): Record<string, unknown>;
}

export type ShopOptions = Partial<IdempotencyOptions> & {
  readonly pool: pg.Pool;
  /** Gets each line of the log. Default: nothing is logged. */
  readonly logTo?: (line: string) => void;
};

/** Registers the plugin, lets `routes` add what they need, listens, and closes whatever happens in `use`. */
export async function withShop(
  { logTo, ...options }: ShopOptions,
  routes: (app: FastifyInstance) => unknown,
  use: (shop: Shop) => Promise<void>,
): Promise<void> {
  // A failing test leaves handlers waiting: they must not hold the close up.
  const logger = logTo === undefined ? false : { stream: { write: logTo } };
  const app = Fastify({ forceCloseConnections: true, logger });
  try {
    // Without the cache of the process, so that every replay proves what the table holds.
    await app.register(idempotency, { scope: "single-tenant", replayCache: false, ...options });
    await routes(app);
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    await use({ app, url, pool: options.pool, post: (path, request) => post(url, path, request) });
  } finally {
    await app.close();
  }
}

export async function post(url: string, path: string, request: ShopRequest = {}): Promise<Answer> {
  const { key, json, headers } = request;
  const response = await fetch(`${url}${path}`, {
    method: "POST",
    headers: {
      ...(key === undefined ? {} : { "idempotency-key": key }),
      ...(json === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    body: json === undefined ? null : JSON.stringify(json),
    redirect: "manual",
  });
  const bytes = Buffer.from(await response.arrayBuffer());
  const text = bytes.toString();
  return {
    status: response.status,
    headers: response.headers,
    text,
    bytes,
    json: () => JSON.parse(text) as Record<string, unknown>,
  };
}

/** The route that most tests use: one payment a call, answered with its row. */
export function addPayments(
  app: FastifyInstance,
  config: RouteIdempotencyOptions | true = true,
): void {
  app.post<{ Body: { amount: number } }>(
    "/payments",
    { config: { idempotency: config } },
    async (request, reply) => {
      const { rows } = await request.idempotency.tx.query<{ id: number }>(
        "insert into payments (amount) values ($1) returning id",
        [request.body.amount],
      );
      return reply
        .code(201)
        .header("location", `/payments/${rows[0]?.id}`)
        .send({ id: rows[0]?.id, amount: request.body.amount });
    },
  );
}

export async function createPayments(pool: pg.Pool): Promise<void> {
  await pool.query(
    "create table payments (id int generated always as identity primary key, amount int not null)",
  );
}

export async function countPayments(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    "select count(*)::int as count from payments",
  );
  return rows[0]?.count ?? -1;
}
