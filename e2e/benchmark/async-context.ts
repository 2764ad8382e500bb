/**
 * Measures the cost of the async context that `transactional` and `outsideWrites` need: a first
 * request with and without it, in turns. The unit is F2, the same handler in a plain BEGIN, INSERT,
 * COMMIT. A report; no check depends on it.
 */
import { migrate, idempotency, transactional } from "@oncekey/server";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { Pool } from "pg";

const REQUESTS = 4_000;
const INSERT = "insert into payments (amount) values (1)";

type Send = () => Promise<void>;

/** The time and the CPU of one request, in µs. */
interface Cost {
  readonly wall: number;
  readonly cpu: number;
}

const postgres = await startPostgres();
const connectionString = postgres.url("postgres");
const pool = new Pool({ connectionString, max: 4 });
// A pool of its own: the context is entered for every handler of a transactional pool.
const shared = transactional(new Pool({ connectionString, max: 4 }));
for (const used of [pool, shared]) used.on("error", () => {});
const apps: FastifyInstance[] = [];
try {
  await migrate(pool);
  await pool.query("create table payments (amount int)");
  const ways: Readonly<Record<string, Send>> = {
    F2: await bare(),
    without: await protectedBy("allow", pool),
    with: await protectedBy("warn", pool),
    transactional: await protectedBy("warn", shared),
  };
  await measure(ways, 300);
  print(await measure(ways, REQUESTS));
} finally {
  await Promise.all(apps.map((app) => app.close()));
  await Promise.all([pool.end(), shared.end()]);
  await postgres.stop();
}

async function bare(): Promise<Send> {
  const app = Fastify();
  app.post("/pay", async () => {
    const client = await pool.connect();
    try {
      await client.query("begin");
      await client.query(INSERT);
      await client.query("commit");
      return { paid: true };
    } finally {
      client.release();
    }
  });
  return senderOf(app);
}

async function protectedBy(outsideWrites: "allow" | "warn", used: Pool): Promise<Send> {
  const app = Fastify();
  await app.register(idempotency, {
    pool: used,
    scope: "single-tenant",
    sweep: false,
    outsideWrites,
  });
  app.post("/pay", { config: { idempotency: true } }, async (request) => {
    await (used === pool ? request.idempotency.tx : used).query(INSERT);
    return { paid: true };
  });
  return senderOf(app);
}

async function senderOf(app: FastifyInstance): Promise<Send> {
  apps.push(app);
  const url = `${await app.listen({ host: "127.0.0.1", port: 0 })}/pay`;
  return async () => {
    const headers = { "idempotency-key": crypto.randomUUID() };
    const response = await fetch(url, { method: "POST", headers });
    if (!response.ok) throw new Error(`answered with ${response.status}`);
    await response.text();
  };
}

async function measure(
  ways: Readonly<Record<string, Send>>,
  requests: number,
): Promise<Readonly<Record<string, Cost[]>>> {
  const costs = Object.fromEntries(Object.keys(ways).map((name) => [name, [] as Cost[]]));
  for (let count = 0; count < requests; count += 1) {
    // In another order each time, so that none always follows the same.
    const order = Object.entries(ways).toSorted(() => Math.random() - 0.5);
    for (const [name, send] of order) costs[name]?.push(await costOf(send));
  }
  return costs;
}

async function costOf(send: Send): Promise<Cost> {
  const started = process.cpuUsage();
  const startedAt = performance.now();
  await send();
  const wall = (performance.now() - startedAt) * 1_000;
  const { user, system } = process.cpuUsage(started);
  return { wall, cpu: user + system };
}

function print(costs: Readonly<Record<string, Cost[]>>): void {
  const rows = Object.entries(costs).map(([name, all]) => ({
    way: name,
    "µs a request": Math.round(median(all.map(({ wall }) => wall))),
    "µs of Node's CPU": Math.round(median(all.map(({ cpu }) => cpu))),
  }));
  console.table(rows);
  for (const name of ["with", "transactional"] as const) {
    const parts = (["wall", "cpu"] as const).map((kind) => {
      const [f2 = 0, without = 0, own = 0] = ["F2", "without", name].map((way) =>
        median((costs[way] ?? []).map((cost) => cost[kind])),
      );
      return `${((100 * (own - without)) / f2).toFixed(1)} % of its ${kind === "wall" ? "time" : "CPU"}`;
    });
    console.log(`${name}, in parts of F2: ${parts.join(", ")}`);
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
