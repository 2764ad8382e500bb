/** Tests at start-up whether a strategy can keep its promise on a database. */
import { randomInt } from "node:crypto";
import type { Pool, PoolClient } from "pg";
import { withDeadline } from "../../async/deadline.ts";
import { acquire, detailOf, giveBack, NO_ANSWER, patienceMs } from "../postgres/connection.ts";
import { readEngine } from "../postgres/dialect.ts";
import type { DatabaseEngine } from "../postgres/dialect.ts";
import { PLAIN_TYPES, queryPlain } from "../postgres/plain-query.ts";
import { inTime, sqlState } from "../postgres/transaction.ts";

/** The strategy must not start, with the reason and what to do instead. */
export interface Unsound {
  readonly kind: "unsound";
  readonly reason: string;
  readonly remedy: string;
}

/**
 * The result of the self-test. `keepsNames`: a named statement that was prepared once is there in every later transaction.
 * `unreachable`: the database did not answer, with the `detail` for a caller that waited for the test.
 */
export type SelfTest =
  | { readonly kind: "sound"; readonly engine: DatabaseEngine; readonly keepsNames: boolean }
  | Unsound
  | { readonly kind: "unreachable"; readonly detail: string; readonly cause: unknown };

interface Facts {
  readonly in_recovery: boolean;
  /** `p` permanent, `u` unlogged; null where the table is missing. */
  readonly persistence: string | null;
}

/**
 * Tests a pool: its driver is new enough, the table is there and logged, and the server takes
 * writes. With `needsAdvisoryLocks`, a lock that one connection holds must be refused to another.
 * Takes two connections for a moment (a pool of one is not asked about locks). Waits no longer for
 * them, and for each answer, than a request would: a slow line has many of them. Never throws.
 */
export async function selfTest(
  pool: Pool,
  schema: string,
  needsAdvisoryLocks: boolean,
): Promise<SelfTest> {
  try {
    return await withClient(pool, async (one) => {
      const fault =
        testDriver(one) ??
        (await testTable(one, schema)) ??
        (needsAdvisoryLocks && pool.options.max > 1
          ? await withClient(pool, (two) => testLocks(one, two))
          : undefined);
      if (fault !== undefined) return fault;
      const engine = await inTime(readEngine(one, schema));
      return { kind: "sound", engine, keepsNames: await testNames(one, pool) };
    });
  } catch (error) {
    if (error instanceof NoConnectionError)
      return { kind: "unreachable", detail: error.message, cause: error.cause };
    return { kind: "unreachable", detail: NO_ANSWER, cause: error };
  }
}

// The first version whose client reports its transaction status. An older copy may be in the tree beside the required one.
function testDriver(client: PoolClient): Unsound | undefined {
  if (typeof client.getTransactionStatus === "function") return undefined;
  return unsound("the pool is of a pg before 8.21", "install pg 8.21 or later");
}

async function testTable(client: PoolClient, schema: string): Promise<Unsound | undefined> {
  const { rows } = await inTime(
    queryPlain<Facts>(
      client,
      `select pg_is_in_recovery() as in_recovery,
      (select relpersistence::text from pg_class where oid = to_regclass($1::text)) as persistence`,
      [`"${schema}".records`],
    ),
  );
  const facts = rows[0];
  if (facts?.in_recovery === true) {
    return unsound(
      "the database is a standby: locks taken on it hold nobody off",
      "connect to the primary",
    );
  }
  if (facts === undefined || facts.persistence === null) {
    return unsound(
      `there is no table "${schema}".records`,
      `run migrate(pool, { schema: "${schema}" }) or: oncekey migrate`,
    );
  }
  if (facts.persistence !== "p") {
    return unsound(
      `the table "${schema}".records is not logged: a crash of the database empties it, and what was done is done again`,
      `alter table "${schema}".records set logged`,
    );
  }
  return undefined;
}

async function testLocks(one: PoolClient, two: PoolClient): Promise<Unsound | undefined> {
  const remedy = "use strategy 'unique', which needs nothing but unique keys";
  const locks = await tryLocks(one, two);
  switch (locks) {
    case "shared":
      return undefined;
    case "not-shared":
      return unsound(
        "an advisory lock that one connection holds is granted to another as well",
        remedy,
      );
    case "absent":
      return unsound("this engine has no transaction-level advisory locks", remedy);
    default:
      return locks satisfies never;
  }
}

/** Whether an advisory lock that one session holds is refused to another (`shared`), or this engine has none (`absent`). */
export async function tryLocks(
  one: PoolClient,
  two: PoolClient,
): Promise<"shared" | "not-shared" | "absent"> {
  // A number of this test's own, so that two processes that start at once do not disturb each other.
  const id = String(randomInt(2 ** 47));
  const onBoth = (command: string): Promise<unknown> =>
    inTime(Promise.all([one.query(command), two.query(command)]));
  await onBoth("begin");
  try {
    return await tryBoth(one, two, id);
  } finally {
    // One that broke or is silent cannot: its caller closes it.
    await onBoth("rollback").catch(() => undefined);
  }
}

async function tryBoth(
  one: PoolClient,
  two: PoolClient,
  id: string,
): Promise<"shared" | "not-shared" | "absent"> {
  try {
    const isHeld = await tryLock(one, id);
    const isHeldTwice = await tryLock(two, id);
    return isHeld && !isHeldTwice ? "shared" : "not-shared";
  } catch (error) {
    // Engines without them fail with "function does not exist" or "feature not supported".
    const state = sqlState(error);
    if (state !== "42883" && state !== "0A000") throw error;
    return "absent";
  }
}

/**
 * Whether a pool may use named statements. A client that knows its session's process by number talks to Postgres itself. Behind a
 * pooler they are there only if it prepares them on whichever session it lends, which is proven on two sessions.
 */
async function testNames(one: PoolClient, pool: Pool): Promise<boolean> {
  const isDirect = (await backendOf(one)) === Reflect.get(one, "processID");
  if (isDirect || pool.options.max < 2) return isDirect;
  return withClient(pool, (two) => areNamesTracked(one, two));
}

/** Prepares a statement, takes that session away by a transaction of the other client, and runs the statement on the next one. */
async function areNamesTracked(one: PoolClient, two: PoolClient): Promise<boolean> {
  const name = `oncekey_test_${randomInt(2 ** 47)}`;
  const prepared = await backendOf(one, name);
  await inTime(two.query("begin"));
  let later: Promise<number | undefined> | undefined;
  try {
    if ((await backendOf(two)) !== prepared) return false;
    later = backendOf(one, name).catch(() => undefined);
    // A pooler of one session lends it when the transaction is over.
    const found = await withDeadline(later, NEXT_SESSION_MS, () => undefined);
    return found !== undefined && found !== prepared;
  } finally {
    await inTime(two.query("rollback"));
    await later;
  }
}

const NEXT_SESSION_MS = 1_000;

/** @param name of a prepared statement, which `pg` prepares on its first use by that client. */
async function backendOf(client: PoolClient, name?: string): Promise<number> {
  const text = "select pg_backend_pid()::text as pid";
  const { rows } = await inTime(
    client.query<{ pid: string }>({
      text,
      types: PLAIN_TYPES,
      ...(name === undefined ? {} : { name }),
    }),
  );
  return Number(rows[0]?.pid);
}

async function tryLock(client: PoolClient, id: string): Promise<boolean> {
  const { rows } = await inTime(
    queryPlain<{ locked: boolean }>(
      client,
      "select pg_try_advisory_xact_lock($1::bigint) as locked",
      [id],
    ),
  );
  return rows[0]?.locked === true;
}

async function withClient<Result>(
  pool: Pool,
  use: (client: PoolClient) => Promise<Result>,
): Promise<Result> {
  const client = await acquire(pool, patienceMs(pool)).catch((cause: unknown) => {
    throw new NoConnectionError(cause);
  });
  let isSound = true;
  try {
    return await use(client);
  } catch (error) {
    // A connection that only waited for another one is kept for the next test. All others may still be at work.
    isSound = error instanceof NoConnectionError;
    throw error;
  } finally {
    giveBack(client, !isSound);
  }
}

class NoConnectionError extends Error {
  override name = "NoConnectionError";
  constructor(cause: unknown) {
    super(detailOf(cause), { cause });
  }
}

function unsound(reason: string, remedy: string): Unsound {
  return { kind: "unsound", reason, remedy };
}
