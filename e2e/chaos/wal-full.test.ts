import { chown, mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { migrate } from "@oncekey/server";
import type { FastifyInstance } from "fastify";
import { Pool } from "pg";
import type { QueryResult, QueryResultRow } from "pg";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { within } from "@oncekey/test-support/processes/deadline";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import type { Postgres } from "@oncekey/test-support/postgres/postgres";
import { idsOf } from "@oncekey/test-support/postgres/binaries";
import { mountSmallDisk } from "@oncekey/test-support/postgres/small-disk";
import { EFFECTS } from "../shop/effects.ts";
import { createStrategyShop, STRATEGIES } from "../shop/strategy-shop.ts";

const DISK = mountSmallDisk(32 * 1_048_576);
const UNABLE = DISK === undefined ? " (not tried: this user may not mount a tmpfs)" : "";
const walFolder = join(DISK?.folder ?? "", "wal");
const SEGMENT_BYTES = 1_048_576;
/**
 * Room that is left in a segment of the log before a request, and the bytes beyond it: less than
 * the log's buffers hold.
 */
const ROOM_BYTES = 200_000;
const BEYOND_BYTES = 400_000;
const LEASE_MS = 2_000;
const MOST_TURNS = 10;
/** The most that Postgres takes. */
const COMMIT_MS = 100;

// Nothing but the requests writes the log, and its pages stay in memory until a COMMIT wants them on the disk.
const SETTINGS = {
  wal_level: "minimal",
  max_wal_senders: "0",
  wal_buffers: "4MB",
  wal_writer_delay: "10s",
  checkpoint_timeout: "1d",
  wal_recycle: "off",
  autovacuum: "off",
  // Its keeper starts it anew. If its own recovery after a crash finds no room, Postgres 18.4 may wait for ever: it then does not
  // notice that the process which recovers has ended.
  restart_after_crash: "off",
  // A COMMIT waits for so many microseconds before it goes to the disk, and all others wait for it.
  commit_delay: String(COMMIT_MS * 1_000),
  commit_siblings: "0",
};

let postgres: Postgres;
let pool: Pool;
let app: FastifyInstance;
/** Runs in the handler before it answers. */
let meanwhile: () => Promise<unknown>;

beforeAll(async () => {
  if (DISK === undefined) return;
  await mkdir(walFolder);
  // Only root mounts, and Postgres does not run as root.
  const { uid, gid } = await idsOf("nobody");
  await chown(walFolder, uid, gid);
  postgres = await startPostgres({ settings: SETTINGS, walFolder, isRestarted: true });
  pool = new Pool({
    connectionString: postgres.url("postgres"),
    max: 6,
    connectionTimeoutMillis: 10_000,
  });
  pool.on("error", () => undefined);
  await migrate(pool);
  await pool.query(EFFECTS);
  app = await createStrategyShop({
    pool,
    sweep: false,
    waitMs: 500,
    lease: { durationMs: LEASE_MS, onCrash: "fail" },
    async answer(paid) {
      await meanwhile();
      return { paid };
    },
  });
});
afterAll(async () => {
  if (DISK === undefined) return;
  await app.close();
  await pool.end();
  await postgres.stop();
  DISK.remove();
});

test.skipIf(DISK === undefined).each(STRATEGIES)(
  `strategy %s: a COMMIT that finds no room for the log is 503, and settles to one effect when there is some${UNABLE}`,
  async (strategy) => {
    const pay = payer(strategy);
    meanwhile = () => write(BEYOND_BYTES);
    await leaveRoom();
    const free = fill();
    const cut = await answered(pay(), "the request whose COMMIT finds no room");
    expect([cut.statusCode, cut.json().code]).toEqual([503, "idempotency_unavailable"]);
    const next = await answered(pay(), "a request while there is no room");
    expect(next).toMatchObject({ statusCode: 503 });
    free();

    meanwhile = async () => undefined;
    const settled = await untilSettled(pay);
    expect(settled.statusCode).toBe(strategy === "lease" ? 500 : 201);
    const again = await pay();
    expect(again.body).toBe(settled.body);
    expect(await effects(strategy)).toBe(1);
  },
);

test.skipIf(DISK === undefined)(
  `a COMMIT that is in the log when there is no room for what others wrote behind it is told as not known, and replayed${UNABLE}`,
  async () => {
    for (let turn = 0; turn < MOST_TURNS; turn += 1) {
      const pay = payer(`behind-${turn}`, "advisory");
      await leaveRoom();
      const [before, behind] = await Promise.all([pool.connect(), pool.connect()]);
      for (const other of [before, behind]) other.on("error", () => undefined);
      let others: Promise<unknown> = Promise.resolve();
      meanwhile = async () => {
        others = Promise.allSettled([
          before.query("select pg_logical_emit_message(true, 'filler', '')"),
          behind.query(WRITE_BEHIND),
        ]);
        await sleep(COMMIT_MS / 5);
      };
      const free = fill();
      const cut = await answered(pay(), "the request whose COMMIT is in the log");
      await answered(others, "what others wrote");
      for (const other of [before, behind]) other.release(true);
      free();
      meanwhile = async () => undefined;
      const settled = await untilSettled(pay);
      expect(settled.statusCode).toBe(201);
      expect(await effects(`behind-${turn}`)).toBe(1);
      // On a busy machine the others may be too late, or too early: then it was done, or it is not in the log and was run again.
      if (cut.statusCode === 201 || settled.headers["idempotent-replayed"] === undefined) continue;
      expect(cut.statusCode).toBe(503);
      expect(cut.json().detail).toContain("is not known yet");
      return;
    }
    throw new Error("no COMMIT came before what others wrote");
  },
);

// The first of three COMMITs has the log to itself for COMMIT_MS. The protected COMMIT waits behind
// it, and with that the last, which needs more room than there is.
const WRITE_BEHIND = `do $$ begin
  perform pg_sleep(${COMMIT_MS / 2_000});
  perform pg_logical_emit_message(true, 'filler', repeat('x', ${BEYOND_BYTES}));
end $$`;

function payer(key: string, strategy = key) {
  return () =>
    app.inject({ method: "POST", url: `/${strategy}`, headers: { "idempotency-key": key } });
}

type Answer = Awaited<ReturnType<ReturnType<typeof payer>>>;

/** Takes all room there is, until the returned function is called or the test ends. */
function fill(): () => void {
  let empty = DISK?.fill();
  const free = (): void => {
    empty?.();
    empty = undefined;
  };
  onTestFinished(free);
  return free;
}

/** Ends only what hangs, by name. */
function answered<Value>(asked: Promise<Value>, what: string): Promise<Value> {
  return within(asked, { what, patienceMs: 120_000 });
}

/** Until Postgres is back, and a lease that could not be finished is over. */
async function untilSettled(pay: () => Promise<Answer>): Promise<Answer> {
  const answers: Answer[] = [];
  const ask = async (): Promise<string> => {
    const answer = await answered(pay(), "a request after the room is back");
    answers.push(answer);
    return `${answer.statusCode} ${answer.body}`;
  };
  await expect.poll(ask, { interval: 50 }).not.toMatch(/^(503|409) /);
  const settled = answers.at(-1);
  if (settled === undefined) throw new Error("it was answered");
  return settled;
}

/** Begins a segment of the log, the last that there is, and writes it but for the room that is to be left. */
async function leaveRoom(): Promise<void> {
  for (;;) {
    await untilAnswered(MESSAGE, [1]);
    await untilAnswered("select pg_switch_wal()");
    const { rows } = await untilAnswered<{ segment: string; used: number }>(
      `select pg_walfile_name(pg_current_wal_insert_lsn()) as segment,
         (pg_current_wal_insert_lsn() - '0/0')::float8 as used`,
    );
    const [{ segment, used } = { segment: "", used: 0 }] = rows;
    const segments = await readdir(walFolder);
    if (segments.some((name) => /^[0-9A-F]{24}$/.test(name) && name > segment)) continue;
    await untilAnswered(MESSAGE, [SEGMENT_BYTES - (used % SEGMENT_BYTES) - ROOM_BYTES]);
    // A commit, so that the segment is on the disk.
    await untilAnswered("select pg_logical_emit_message(true, 'filler', '')");
    return;
  }
}

const MESSAGE = "select pg_logical_emit_message(false, 'filler', repeat('x', $1))";

/** Into the log, outside of every transaction, and not to the disk. */
function write(bytes: number): Promise<unknown> {
  return pool.query(MESSAGE, [bytes]);
}

async function effects(key: string): Promise<number> {
  const { rowCount } = await untilAnswered("select from effects where key = $1", [key]);
  return rowCount ?? -1;
}

/** Asks until Postgres answers. The end of one of its processes ends all others, some time after it took statements from them. */
async function untilAnswered<Row extends QueryResultRow>(
  statement: string,
  values: readonly unknown[] = [],
): Promise<QueryResult<Row>> {
  const results: QueryResult<Row>[] = [];
  const asking = async (): Promise<unknown> =>
    results.push(await pool.query<Row>(statement, [...values]));
  await expect.poll(() => asking().catch(String), { interval: 50 }).toBe(1);
  const [result] = results;
  if (result === undefined) throw new Error("it was answered");
  return result;
}
