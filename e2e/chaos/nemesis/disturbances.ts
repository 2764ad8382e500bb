/**
 * Further faults around the servers: broken commits, a pooler that ends, a pool that is taken, a
 * database that is full.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "pg";
import type { History } from "../history/history.ts";
import { borrow, giveBack } from "@oncekey/test-support/postgres/borrow";
import { COMMIT_FAULTS } from "../fleet/database-proxy.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Random } from "../protocol/random.ts";

export interface Counts {
  /** COMMITs to be struck, of each kind. */
  readonly commitFaults: number;
  readonly poolerRestarts: number;
  readonly poolsTaken: number;
  /** Number of times at which the database has no connection left. */
  readonly databasesFilled: number;
  /** Pools that the application ends and replaces while requests use them. */
  readonly poolsEnded: number;
  /** Times at which the table gets more expired rows than the run writes, so that new ones go where old ones were. */
  readonly tablesWrapped: number;
}

export interface DisturbanceOptions {
  readonly counts: Counts;
  readonly fleet: Fleet;
  readonly history: History;
  readonly random: Random;
  readonly signal: AbortSignal;
}

interface Disturbance {
  readonly name: string;
  /** Servers whose clients notice it. Undefined: all servers. */
  readonly servers?: readonly string[] | undefined;
  readonly cause: () => Promise<void>;
}

export interface Disturbances {
  readonly caused: Readonly<Record<string, number>>;
  /** Returns how many did not happen. */
  readonly missed: () => number;
  readonly done: Promise<void>;
}

const BETWEEN_MS = 1_500;
// A line that is half open takes a connection away for some ten seconds; most of the pool has to be left.
const COMMIT_EVERY_MS = 250;
// After the last of them, a waiting request gets "not known" when Oncekey's own timer expires.
const LAST_COMMIT_MS = 7_000;
const POLL_MS = 20;
const FULL_MS = 1_000;
const AT_ONCE = 16;
const TRIES = 3;
const HELD_MS = 1_500;
const END_MS = 10_000;
const WRAPPED_ROWS = 20_000;

export function startDisturbances(options: DisturbanceOptions): Disturbances {
  const { fleet, history, random, signal } = options;
  const caused: Record<string, number> = {};
  const queue = random.shuffled(planDisturbances(options));
  const work = async (): Promise<void> => {
    for (const [index, { name, servers, cause }] of queue.entries()) {
      if (signal.aborted) return;
      const fault = `${name} ${index}`;
      history.add({ kind: "fault", phase: "begin", fault, servers });
      const isCaused = await comesAbout(cause);
      history.add({ kind: "fault", phase: "end", fault });
      if (isCaused) caused[name] = (caused[name] ?? 0) + 1;
      await sleep(BETWEEN_MS);
    }
  };
  const both = Promise.all([work(), breakCommits(fleet, options)]);
  const commits = COMMIT_FAULTS.length * options.counts.commitFaults;
  return {
    caused,
    missed: () => queue.length - sum(caused) + commits - sum(fleet.databaseProxy.struck()),
    done: both.then(() => undefined),
  };
}

/** Whether it did: the server that it is about may be killed at this moment, and then it is another one's turn. */
async function comesAbout(cause: Disturbance["cause"]): Promise<boolean> {
  for (let tries = 1; tries <= TRIES; tries += 1) {
    try {
      await cause();
      return true;
    } catch {
      await sleep(BETWEEN_MS);
    }
  }
  return false;
}

function planDisturbances({ counts, fleet, random }: DisturbanceOptions): Disturbance[] {
  const { restartPooler } = fleet;
  const repeat = (times: number, make: () => Disturbance): Disturbance[] =>
    Array.from({ length: times }, make);
  const takeAnyPool = (): Disturbance => {
    const { name } = random.pick(fleet.servers);
    return { name: "pool taken", servers: [name], cause: () => takePool(fleet, name) };
  };
  const endAnyPool = (): Disturbance => {
    const { name } = random.pick(fleet.servers);
    return { name: "pool ended", servers: [name], cause: () => endPool(fleet, name) };
  };
  const wrapping = { name: "table wrapped", servers: [], cause: () => wrapTable(fleet) };
  const filling = { name: "max_connections reached", cause: () => fillDatabase(fleet) };
  return [
    ...(restartPooler === undefined
      ? []
      : repeat(counts.poolerRestarts, () => ({
          name: "pooler killed",
          servers: ["D"],
          cause: restartPooler,
        }))),
    ...repeat(counts.poolsTaken, takeAnyPool),
    ...repeat(counts.databasesFilled, () => filling),
    ...repeat(counts.poolsEnded, endAnyPool),
    ...repeat(counts.tablesWrapped, () => wrapping),
  ];
}

async function takePool(fleet: Fleet, server: string): Promise<void> {
  const origin = await fleet.originOf(server);
  const response = await fetch(`${origin}/hold`, { method: "POST" });
  const { held } = (await response.json()) as { readonly held?: number };
  if (!held) throw new Error("no connection of the pool could be taken");
  await sleep(HELD_MS);
}

async function endPool(fleet: Fleet, server: string): Promise<void> {
  const origin = await fleet.originOf(server);
  const signal = AbortSignal.timeout(END_MS);
  const response = await fetch(`${origin}/turn`, { method: "POST", signal });
  if (!response.ok) throw new Error("the pool did not end");
}

/** Rows that the servers sweep, and whose place others take. */
async function wrapTable({ pool }: Fleet): Promise<void> {
  await pool.query(`
    insert into oncekey.records (key, scope, target, fingerprint, status, headers, body, created_at, expires_at)
    select gen_random_uuid()::text, 'expired', 'POST /expired', '\\x01', 201, '[]', 'x',
      statement_timestamp() - interval '2 days', statement_timestamp() - interval '1 day'
    from generate_series(1, ${WRAPPED_ROWS})`);
}

/** Takes connections until Postgres has none left, ends the idle ones of the servers so that they need new ones, and takes those too. */
async function fillDatabase({ pool }: Fleet): Promise<void> {
  const taken: Client[] = [];
  // Had before: there is none to be had in between.
  const own = await borrow(pool);
  try {
    await takeAll(pool, taken);
    await own.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where application_name like 'rig _' and state = 'idle'`,
    );
    await takeAll(pool, taken);
    await sleep(FULL_MS);
  } finally {
    giveBack(own);
    await Promise.allSettled(taken.map((client) => client.end()));
  }
}

/** Until one is refused. @throws what it was refused with, unless that is `too_many_connections`. */
async function takeAll({ options }: Fleet["pool"], taken: Client[]): Promise<void> {
  const { connectionString } = options;
  for (;;) {
    const asked = Array.from({ length: AT_ONCE }, async () => {
      const client = new Client({ connectionString });
      client.on("error", survive);
      await client.connect();
      taken.push(client);
    });
    const refused = (await Promise.allSettled(asked)).find(({ status }) => status === "rejected");
    if (refused?.status !== "rejected") continue;
    if ((refused.reason as { readonly code?: string }).code === "53300") return;
    throw refused.reason;
  }
}

// Postgres may be struck at the same time.
function survive(): void {}

function sum(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

async function breakCommits(fleet: Fleet, options: DisturbanceOptions): Promise<void> {
  const { counts, history, random, signal } = options;
  if (counts.commitFaults === 0) return;
  const fault = "commits broken on their way";
  const plan = COMMIT_FAULTS.flatMap((kind) =>
    Array.from({ length: counts.commitFaults }, () => kind),
  );
  history.add({ kind: "fault", phase: "begin", fault, servers: ["C"] });
  const { arm, struck } = fleet.databaseProxy;
  for (const [index, kind] of random.shuffled(plan).entries()) {
    if (signal.aborted) break;
    arm(kind);
    await sleep(COMMIT_EVERY_MS);
    while (sum(struck()) <= index && !signal.aborted) await sleep(POLL_MS);
  }
  if (!signal.aborted) await sleep(LAST_COMMIT_MS);
  history.add({ kind: "fault", phase: "end", fault });
}
