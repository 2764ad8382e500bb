/** The sample back end with repositories, run as its own process on a database of the test. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "@oncekey/test-support/processes/free-port";
import type pg from "pg";

export interface SampleAnswer {
  readonly status: number;
  readonly isReplayed: boolean;
  readonly text: string;
}

export interface SampleApp {
  /** Sends a POST as the sample's one customer. */
  readonly post: (path: string, key: string, json?: unknown) => Promise<SampleAnswer>;
}

/** Row counts of the sample's tables, and its customer's credit and product's stock. */
export interface SampleState {
  readonly orders: number;
  readonly lines: number;
  readonly ledger: number;
  readonly credit: number;
  readonly stock: number;
}

const CUSTOMER = "ada";
const TOKEN = "a-token-of-ada";
export const CREDIT_CENTS = 60_000;
export const STOCK = 100;
export const PRICE_CENTS = 1_500;
export const SKU = "kettle";

/** The command that starts the sample, and its environment without the port. */
export function commandOf(folder: string, databaseUrl: string) {
  return {
    command: [process.execPath, "--conditions=@oncekey/source", `${folder}/src/server.ts`],
    env: { DATABASE_URL: databaseUrl, POOL_SIZE: "4" },
  } as const;
}

/** Starts the sample in `folder`, empties its tables, stocks the shop, and stops it whatever happens in `use`. */
export async function withSampleApp(
  folder: string,
  { url, pool }: { readonly url: string; readonly pool: pg.Pool },
  use: (app: SampleApp) => Promise<void>,
): Promise<void> {
  const port = await freePort();
  const { command, env } = commandOf(folder, url);
  const [program, ...args] = command;
  const child = spawn(program, args, {
    env: { ...process.env, ...env, PORT: String(port) },
    stdio: ["ignore", "inherit", "inherit"],
  });
  try {
    await untilHealthy(`http://127.0.0.1:${port}/health`, child);
    await stockShop(pool);
    await use({ post: (path, key, json) => post(`http://127.0.0.1:${port}${path}`, key, json) });
  } finally {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
  }
}

const POLL_MS = 50;

async function untilHealthy(url: string, child: ChildProcess): Promise<void> {
  for (;;) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok === true) return;
    if (child.exitCode !== null) throw new Error(`the sample ended with ${child.exitCode}`);
    await sleep(POLL_MS);
  }
}

export async function stockShop(pool: pg.Pool): Promise<void> {
  await pool.query("truncate ledger, order_lines, orders, products, customers");
  await pool.query("insert into customers values ($1, $2, $3)", [CUSTOMER, TOKEN, CREDIT_CENTS]);
  await pool.query("insert into products values ($1, $2, $3)", [SKU, PRICE_CENTS, STOCK]);
}

export const HEADERS = { authorization: `Bearer ${TOKEN}` };

async function post(url: string, key: string, json: unknown): Promise<SampleAnswer> {
  const response = await fetch(url, {
    method: "POST",
    headers: {
      ...HEADERS,
      "idempotency-key": key,
      ...(json === undefined ? {} : { "content-type": "application/json" }),
    },
    body: json === undefined ? null : JSON.stringify(json),
  });
  const isReplayed = response.headers.get("idempotent-replayed") === "true";
  return { status: response.status, isReplayed, text: await response.text() };
}

export async function readState(pool: pg.Pool): Promise<SampleState> {
  const { rows } = await pool.query<SampleState>(
    `select (select count(*)::int from orders) as orders,
            (select count(*)::int from order_lines) as lines,
            (select count(*)::int from ledger) as ledger,
            (select credit_cents from customers) as credit,
            (select stock from products) as stock`,
  );
  const [state] = rows;
  if (state === undefined) throw new Error("the sample's tables are empty");
  return state;
}
