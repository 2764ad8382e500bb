import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { forgetRecord } from "../../src/store/maintenance/decisions.ts";
import { findRecords, readStats, readSweepLag } from "../../src/store/maintenance/records.ts";
import type { TableRecord } from "../../src/store/maintenance/table-record.ts";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createRowStore } from "../../src/store/strategies/row.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { StoreParts } from "../../src/store/store-parts.ts";
import type { Store, Ticket } from "../../src/store/store.ts";
import { countPatient } from "../support/patient-sessions.ts";
import {
  claimed,
  createTicket,
  expireResponse,
  response,
  txOf,
} from "../support/store-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
let parts: StoreParts;
let stores: Record<"advisory" | "row" | "lease", Store>;
beforeAll(() => {
  pool = database.pool();
  parts = createStoreParts(pool, "oncekey");
  stores = {
    advisory: createAdvisoryStore(parts),
    row: createRowStore(parts),
    lease: createLeaseStore(parts, 60_000),
  };
});

async function only(ticket: Ticket): Promise<TableRecord> {
  const [record, ...more] = await findRecords(pool, "oncekey", ticket);
  if (record === undefined || more.length > 0) throw new Error("expected one record");
  return record;
}

async function finish(store: Store, ticket: Ticket): Promise<void> {
  await (await claimed(store, ticket)).complete(response("made"), "keep");
}

async function expire({ key }: Ticket, age = "1 second"): Promise<void> {
  await pool.query(
    "update oncekey.records set expires_at = statement_timestamp() - $2::interval, fence_until = null where key = $1",
    [key, age],
  );
}

const DECISION = { by: "an operator", reason: "a test" };

/** One record in each state. */
async function makeStates(): Promise<Record<TableRecord["state"], Ticket>> {
  const made = {
    finished: createTicket(),
    tombstone: createTicket(),
    expired: createTicket(),
    running: createTicket(),
    crashed: createTicket(),
    failed: createTicket(),
  };
  await finish(stores.advisory, made.finished);
  await finish(stores.advisory, made.tombstone);
  await expireResponse(pool, made.tombstone);
  await finish(stores.lease, made.expired);
  await expire(made.expired);
  const closed = await claimed(stores.lease, made.failed);
  await closed.complete(response("unknown", 500), "keep");
  await (await claimed(stores.lease, made.crashed)).release("failed");
  await pool.query(
    `insert into oncekey.records (key, scope, target, fingerprint, owner, lease_until, created_at, expires_at)
     values ($1, $2, $3, $4, gen_random_uuid(), now() + interval '1 minute', now(), now() + interval '1 day')`,
    [made.running.key, made.running.scope, made.running.target, made.running.fingerprint],
  );
  return made;
}

describe("looking at the table", () => {
  it("reports a record's state as the next request with its key would find it", async () => {
    for (const [state, ticket] of Object.entries(await makeStates())) {
      expect((await only(ticket)).state, state).toBe(state);
    }
  });

  it("names finished steps and keeps their results to itself", async () => {
    const ticket = createTicket();
    const claim = await claimed(stores.lease, ticket);
    await claim.steps?.write("charge", '"4242"');
    expect(await only(ticket)).toMatchObject({ steps: ["charge"], state: "running" });
    await claim.release("free");
  });

  it("counts the states, bodies that could not be kept, and rows to sweep", async () => {
    await pool.query("truncate oncekey.records");
    await makeStates();
    const claim = await claimed(stores.advisory, createTicket());
    await claim.complete({ status: 200, headers: [], body: undefined }, "keep");
    expect(await readStats(pool, "oncekey")).toMatchObject({
      records: 7,
      finished: 2,
      tombstones: 1,
      withoutBody: 1,
      running: 1,
      crashed: 1,
      failed: 1,
      expired: 2,
      oldestCreatedAt: expect.stringMatching(/^\d{4}-.*T.*\.\d{6}Z$/),
      sizeBytes: expect.any(Number),
    });
  });

  it("measures how long expired rows have been waiting, and leaves out those whose owner is at work", async () => {
    await pool.query("truncate oncekey.records");
    expect(await readSweepLag(pool, "oncekey")).toEqual({
      expired: 0,
      oldestExpiredAt: null,
      lagMs: 0,
    });
    const { finished, running } = await makeStates();
    await expire(finished, "2 hours");
    await expire(running, "3 hours");
    const { expired, lagMs } = await readSweepLag(pool, "oncekey");
    expect(expired).toBe(3);
    expect(lagMs).toBeGreaterThanOrEqual(7_200_000);
    expect(lagMs).toBeLessThan(7_300_000);
  });
});

describe("forgetting a record", () => {
  it("frees its key for another run", async () => {
    const ticket = createTicket();
    await finish(stores.advisory, ticket);
    expect(await forgetRecord(parts, await only(ticket), DECISION)).toBe("done");
    await (await claimed(stores.advisory, ticket)).release("free");
  });

  it("keeps one that was finished after it was looked at", async () => {
    const ticket = createTicket();
    await (await claimed(stores.row, ticket)).release("failed");
    const looked = await only(ticket);
    await finish(stores.row, ticket);
    expect(await forgetRecord(parts, looked, DECISION)).toBe("changed");
    expect((await only(ticket)).state).toBe("finished");
  });

  it("keeps one that was forgotten and made again after it was looked at", async () => {
    const ticket = createTicket();
    await finish(stores.advisory, ticket);
    const looked = await only(ticket);
    await forgetRecord(parts, looked, DECISION);
    await finish(stores.advisory, ticket);
    expect(await forgetRecord(parts, looked, DECISION)).toBe("changed");
    expect((await only(ticket)).state).toBe("finished");
  });

  it("keeps one whose owner's lease runs, and deletes it once the owner has crashed", async () => {
    const ticket = createTicket();
    const claim = await claimed(stores.lease, ticket);
    expect(await forgetRecord(parts, await only(ticket), DECISION)).toBe("held");
    await claim.release("failed");
    expect(await forgetRecord(parts, await only(ticket), DECISION)).toBe("done");
  });

  it("keeps one that a handler's transaction holds, without waiting for it", async () => {
    const ticket = createTicket();
    const claim = await claimed(stores.row, ticket);
    const looked = await only(ticket);
    expect(await forgetRecord(parts, looked, DECISION)).toBe("held");
    await txOf(claim).query("select 1");
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "stored" });
  });

  it("waits for a locked table, as while a partition comes or goes", async () => {
    const ticket = createTicket();
    await finish(stores.advisory, ticket);
    const looked = await only(ticket);
    const locker = await pool.connect();
    await locker.query("begin; lock table oncekey.records in access exclusive mode");
    let isOver = false;
    const forgetting = forgetRecord(parts, looked, DECISION).finally(() => {
      isOver = true;
    });
    await expect.poll(async () => isOver || (await countPatient(pool)) === 1).toBe(true);
    await locker.query("commit");
    locker.release();
    expect(await forgetting).toBe("done");
  });

  it("throws what the database throws", async () => {
    const elsewhere = createStoreParts(pool, "absent");
    const record = { ...createTicket(), createdAt: new Date().toISOString() };
    await expect(forgetRecord(elsewhere, record, DECISION)).rejects.toThrow(
      '"absent.records" does not exist',
    );
  });
});
