/** A database for each test file, and the proof after each test that nothing was left open in it. */
import { Client, Pool } from "pg";
import type { PoolClient, PoolConfig } from "pg";
import { afterAll, afterEach, beforeAll, inject } from "vitest";
import type { ProvidedPostgres } from "./global-setup.ts";
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
  beforeAll(async () => {
    const source = from === "migrated" ? await ensureTemplate(urlOf) : "template0";
    await execute(`create database ${name} template ${source}`);
  });
  afterEach(async () => {
    for (const pool of pools) {
      if (pool.ended) continue;
      await assertNothingLeft(pool);
      assertNoListenersLeft(pool, clients);
    }
  });
  afterAll(async () => {
    await Promise.all(pools.filter((pool) => !pool.ended).map((pool) => pool.end()));
    await execute(`drop database if exists ${name} with (force)`);
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

function urlOf(database: string): string {
  const provided: ProvidedPostgres = inject("postgres");
  const url = new URL(provided.url);
  url.pathname = database;
  return url.href;
}

function pooledUrlOf(database: string): string {
  const provided: ProvidedPostgres = inject("postgres");
  if (provided.pooledUrl === undefined) return urlOf(database);
  const url = new URL(provided.pooledUrl);
  url.pathname = database;
  return url.href;
}

async function execute(sql: string): Promise<void> {
  const client = new Client(urlOf("postgres"));
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/**
 * Fails if somebody still listens on the pool, or on a client of it that is back: a listener for each request would grow for as
 * long as the process lives. The pool's own are one on each idle client.
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

const SETTLE_MS = 2_000;
const POLL_MS = 20;

/**
 * Fails if a client of the pool is checked out or waited for, or if any session of its database is in a transaction or
 * holds an advisory lock. A reply may leave before its connection is back, so this holds within two seconds or not at all.
 *
 * @throws Error that lists what is left.
 */
export async function assertNothingLeft(pool: Pool): Promise<void> {
  const observer = new Client({ ...pool.options, application_name: "observer" });
  await observer.connect();
  try {
    const deadline = Date.now() + SETTLE_MS;
    let left = await leftovers(pool, observer);
    while (left.length > 0 && Date.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
      left = await leftovers(pool, observer);
    }
    if (left.length > 0) throw new Error(`left after the test: ${left.join("; ")}`);
  } finally {
    await observer.end();
  }
}

const OPEN = `
select 'a transaction ' || state || ' (' || left(query, 120) || ')' as what
  from pg_stat_activity
 where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'
union all
select 'an advisory lock held by process ' || pid
  from pg_locks
 where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`;

async function leftovers(pool: Pool, observer: Client): Promise<string[]> {
  const { rows } = await observer.query<{ what: string }>(OPEN);
  const left = rows.map(({ what }) => what);
  const out = pool.totalCount - pool.idleCount;
  if (out > 0) left.push(`${out} clients checked out`);
  if (pool.waitingCount > 0) left.push(`${pool.waitingCount} requests waiting for a client`);
  return left;
}
