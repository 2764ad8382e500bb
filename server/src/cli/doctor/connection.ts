/** Checks of the connection: its latency, a pooler on it, and the two clocks. */
import type { PoolClient } from "pg";
import { sqlState } from "../../store/postgres/transaction.ts";
import { formatDuration } from "../io/print.ts";
import { fail, ok, warn } from "./finding.ts";
import type { Examine } from "./finding.ts";

const ROUNDS = 5;

export const examineReach: Examine = async ({ one }) => {
  const timesMs: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const startedAt = performance.now();
    await one.query("select 1");
    timesMs.push(performance.now() - startedAt);
  }
  const where = `"${one.database}" on ${one.host}:${one.port}`;
  return ok(`${where} answers in ${Math.min(...timesMs).toFixed(1)} ms`);
};

/** Kind of connection: the server itself, or a pooler that lends a server connection for as long as the name states. */
type Way = "direct" | "session-pooler" | "transaction-pooler" | "statement-pooler";

/**
 * Detects a pooler by process numbers. A PostgreSQL session has one process for its whole life and announces its number at the
 * start. Two open sessions with one process, or one session with two, share server connections. A number that differs from the
 * announced one comes from a pooler.
 */
async function findWay(one: PoolClient, two: PoolClient): Promise<Way> {
  const [ofOne, ofTwo] = [new Set<number>(), new Set<number>()];
  for (let round = 0; round < ROUNDS; round += 1) {
    ofOne.add(await processOf(one));
    ofTwo.add(await processOf(two));
  }
  const isShared = [...ofOne].some((process) => ofTwo.has(process));
  if (isShared || ofOne.size > 1 || ofTwo.size > 1) {
    return (await takesTransactions(two)) ? "transaction-pooler" : "statement-pooler";
  }
  return ofOne.has(Number(Reflect.get(one, "processID"))) ? "direct" : "session-pooler";
}

export const examinePooler: Examine = async ({ one, two }) => {
  const way = await findWay(one, two);
  switch (way) {
    case "direct":
      return ok("none: sessions belong to the server's own processes");
    case "session-pooler":
      return ok("one that keeps a server connection for each session");
    case "transaction-pooler":
      return ok(
        "one in transaction mode: Oncekey needs no session, but your own SET, LISTEN and session locks do not work",
      );
    case "statement-pooler":
      return fail(
        "one in statement mode, which refuses transactions",
        "set pool_mode = transaction",
      );
    default:
      return way satisfies never;
  }
};

const MAX_SKEW_MS = 2_000;

export const examineClock: Examine = async ({ one }) => {
  const askedAt = Date.now();
  const { rows } = await one.query<{ nowAt: number }>(
    'select extract(epoch from statement_timestamp())::float8 * 1000 as "nowAt"',
  );
  const answeredAt = Date.now();
  const skewMs = (rows[0]?.nowAt ?? Number.NaN) - (askedAt + answeredAt) / 2;
  const amount = formatDuration(Math.abs(skewMs));
  const found = `the database's clock is ${amount} ${skewMs < 0 ? "behind" : "ahead of"} this machine's`;
  if (Math.abs(skewMs) <= MAX_SKEW_MS) return ok(found);
  return warn(
    found,
    "synchronise both; records go by the database alone, but maxKeyAgeMs judges keys by the servers' clocks",
  );
};

async function processOf(client: PoolClient): Promise<number> {
  const { rows } = await client.query<{ pid: number }>("select pg_backend_pid() as pid");
  return rows[0]?.pid ?? Number.NaN;
}

async function takesTransactions(client: PoolClient): Promise<boolean> {
  try {
    await client.query("begin");
    await client.query("rollback");
    return true;
  } catch (error) {
    // "Protocol violation": so PgBouncer refuses, and ends the session with it.
    if (sqlState(error) === "08P01") return false;
    throw error;
  }
}
