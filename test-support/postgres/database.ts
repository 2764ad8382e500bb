/** A database for each test file, and the proof after each test that nothing was left open in it. */
import { Client, Pool } from "pg";
import type { PoolClient, PoolConfig } from "pg";
import { afterAll, afterEach, beforeAll } from "vitest";
import { until } from "../processes/deadline.ts";
import { awaitPostgres, pooledUrlOf, urlOf } from "./provided.ts";
import { ensureTemplate } from "./template.ts";

export interface TestDatabase {
  /** Connection string, for servers that are processes of their own. Readable once the tests run. */
  readonly url: string;
  /**
   * A pool on this database, behind the run's pooler if there is one; with a connection string or session options of its own it
   * is not. It is checked after the test that made it and closed after the file.
   */
  pool(config?: PoolConfig): Pool;
}

export interface DatabaseOptions {
  /** `migrated` (default): schema `oncekey` is there. `empty`: nothing is. */
  readonly from?: "migrated" | "empty";
}

/**
 * Gives the test file that calls it, at its top level, one database. It is dropped after the file.
 *
 * After each test every pool of it must be whole again and {@link assertNothingLeft} must hold, else the test fails.
 */
export function withDatabase({ from = "migrated" }: DatabaseOptions = {}): TestDatabase {
  const name = `test_${crypto.randomUUID().replaceAll("-", "")}`;
  const pools: Pool[] = [];
  const clients = new Map<PoolClient, Pool>();
  // In another database: it is neither among this one's sessions nor among those that a test ends.
  let admin: Client;
  beforeAll(async () => {
    await awaitPostgres();
    admin = new Client({ connectionString: urlOf("postgres"), application_name: "observer" });
    await admin.connect();
    const source = from === "migrated" ? await ensureTemplate(urlOf) : "template0";
    await admin.query(`create database ${name} template ${source}`);
  });
  const leaking = new Set<Pool>();
  afterEach(async () => {
    for (const pool of pools) {
      if (pool.ended || leaking.has(pool)) continue;
      try {
        await waitUntilNothingLeft(pool, admin, name, PATIENCE_MS);
        assertNoListenersLeft(pool, clients);
      } catch (error) {
        // Leftovers of one test fail neither the next test nor the end of the file.
        leaking.add(pool);
        await admin.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1 and state <> 'idle'",
          [name],
        );
        throw error;
      }
    }
  });
  afterAll(async () => {
    const whole = pools.filter((pool) => !pool.ended && !leaking.has(pool));
    await Promise.all(whole.map((pool) => pool.end()));
    await admin.query(`drop database if exists ${name} with (force)`);
    await admin.end();
  });

  return {
    get url() {
      return urlOf(name);
    },
    pool(config = {}) {
      const isDirect = config.options !== undefined;
      const connectionString = isDirect ? urlOf(name) : pooledUrlOf(name);
      const pool = new Pool({ connectionString, max: 10, ...config });
      // A test that kills backends must not end its own process by it.
      pool.on("error", () => undefined);
      pool.on("connect", (client) => clients.set(client, pool));
      pool.on("remove", (client) => clients.delete(client));
      pools.push(pool);
      return pool;
    },
  };
}

/**
 * Fails if a request's listener is left on the pool, or on a client that was given back: listeners would add up for as long as
 * the process lives. The pool itself has one listener on each idle client.
 */
function assertNoListenersLeft(pool: Pool, clients: ReadonlyMap<PoolClient, Pool>): void {
  const own = [...clients].filter(([, of]) => of === pool).map(([client]) => client);
  const left = own.flatMap((client) =>
    Object.entries({ error: 1, notice: 0, end: 0 })
      .filter(([event, most]) => client.listenerCount(event) > most)
      .map(([event]) => `${client.listenerCount(event)} listeners for "${event}" on a client`),
  );
  if (pool.listenerCount("error") > 1) left.push("a listener for errors of the pool");
  if (left.length > 0) throw new Error(`left after the test: ${left.join("; ")}`);
}

// A reply may leave before its connection is back, on a busy machine long before.
const PATIENCE_MS = 20_000;

/**
 * Waits until no client of the pool is checked out or requested. No session of its database may be
 * in a transaction or hold an advisory lock.
 *
 * @param patienceMs how long it waits, in ms.
 * @throws Error that lists what is left.
 */
export async function assertNothingLeft(pool: Pool, patienceMs = PATIENCE_MS): Promise<void> {
  const observer = new Client({ ...pool.options, application_name: "observer" });
  await observer.connect();
  try {
    const { rows } = await observer.query<{ name: string }>("select current_database() as name");
    await waitUntilNothingLeft(pool, observer, rows[0]?.name ?? "", patienceMs);
  } finally {
    await observer.end();
  }
}

async function waitUntilNothingLeft(
  pool: Pool,
  observer: Client,
  database: string,
  patienceMs: number,
): Promise<void> {
  let left: string[] = [];
  const isNothingLeft = async (): Promise<boolean> => {
    left = await leftovers(pool, observer, database);
    return left.length === 0;
  };
  const what = (): string => `an end of what is left after the test: ${left.join("; ")}`;
  await until(isNothingLeft, { what, patienceMs });
}

const OPEN = `
select 'a transaction ' || state || ' (' || left(query, 120) || ')' as what
  from pg_stat_activity
 where datname = $1 and pid <> pg_backend_pid() and state <> 'idle'
union all
select 'an advisory lock held by process ' || pid
  from pg_locks
 where locktype = 'advisory' and database = (select oid from pg_database where datname = $1)`;

async function leftovers(pool: Pool, observer: Client, database: string): Promise<string[]> {
  const { rows } = await observer.query<{ what: string }>(OPEN, [database]);
  const left = rows.map(({ what }) => what);
  const out = pool.totalCount - pool.idleCount;
  if (out > 0) left.push(`${out} clients checked out`);
  if (pool.waitingCount > 0) left.push(`${pool.waitingCount} requests waiting for a client`);
  return left;
}
