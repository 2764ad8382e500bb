/** Tombstones: what a remembered key costs on disk, and that the sweep makes each once. */
import { migrate } from "@oncekey/server";
import pg from "pg";
import { v7 } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import type { Postgres } from "@oncekey/test-support/postgres/postgres";
import { sweepBatch } from "../../src/store/maintenance/sweep-batch.ts";
import { sweepAll } from "../../src/store/maintenance/sweeper.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { StoreParts } from "../../src/store/store-parts.ts";

// A server of its own: Postgres reuses an index page once no session of the whole server is older, and other tests have some.
let postgres: Postgres;
let pool: pg.Pool;
let parts: StoreParts;
beforeAll(async () => {
  postgres = await startPostgres({ fsync: false });
  pool = new pg.Pool({ connectionString: postgres.url("postgres") });
  // A session that is closing meets the end of the server, and an idle one notifies its pool.
  pool.on("error", () => {});
  await migrate(pool);
  parts = createStoreParts(pool, "oncekey");
});
afterAll(async () => {
  await pool.end();
  await postgres.stop();
});
beforeEach(async () => {
  await pool.query("truncate oncekey.records");
  await pool.query("alter table oncekey.records set (autovacuum_enabled = false)");
});

const CYCLE = 5_000;
let minted = 0;

/** Adds records whose responses have expired, a second apart each, with keys of our client. */
async function addExpired(count: number, bodyBytes = 300): Promise<void> {
  const keys = Array.from({ length: count }, () => v7({ msecs: 1.7e12 + (minted += 1) * 1_000 }));
  await pool.query(
    `insert into oncekey.records
       (key, scope, target, fingerprint, status, headers, body, created_at, expires_at, fence_until)
     select key, 'user-12345', 'POST /payments', decode(repeat('ab', 33), 'hex'), 201,
       '[["content-type","application/json; charset=utf-8"]]', decode(repeat('cd', $2::int), 'hex'),
       now() - interval '2 days', now() - interval '1 day' + n * interval '1 second' / 10,
       now() + interval '29 days' + n * interval '1 second' / 10
     from unnest($1::text[]) with ordinality as made (key, n)`,
    [keys, bodyBytes],
  );
}

const sweep = () => sweepAll((...batch) => sweepBatch(parts, ...batch), 1_000);

async function sizeBytes(): Promise<number> {
  const { rows } = await pool.query<{ size: number }>(
    "select pg_total_relation_size('oncekey.records')::float8 as size",
  );
  return rows[0]?.size ?? Number.NaN;
}

describe("a tombstone", () => {
  it("costs at most 260 bytes on disk, index included, in a table that lives on", async () => {
    // Each cycle reuses the space of the responses of the one before. The rest is growth: the first
    // cycles also make the space that is reused.
    const cycles = async (count: number): Promise<number> => {
      for (let cycle = 0; cycle < count; cycle += 1) {
        await addExpired(CYCLE);
        expect(await sweep()).toEqual({ deleted: 0, buried: CYCLE });
        await pool.query("vacuum oncekey.records");
      }
      return sizeBytes();
    };
    const bytesPerKey = (-(await cycles(3)) + (await cycles(4))) / (4 * CYCLE);
    console.log(`a tombstone costs ${bytesPerKey.toFixed(1)} bytes`);
    expect(bytesPerKey).toBeLessThanOrEqual(260);
  });

  it("keeps its key, status and fingerprint, and nothing else of the response", async () => {
    await addExpired(1);
    await sweep();
    const { rows } = await pool.query("select * from oncekey.records");
    expect(rows).toMatchObject([
      {
        scope: "user-12345",
        target: "POST /payments",
        status: 201,
        fingerprint: Buffer.alloc(33, 0xab),
        headers: null,
        body: null,
        owner: null,
        steps: null,
        fence_until: null,
        recoveries: null,
        recover_at: null,
      },
    ]);
  });

  it("is not touched by later sweeps, and not read by them", async () => {
    await addExpired(2_000);
    await sweep();
    const touched = async () =>
      (await pool.query("select ctid, xmax from oncekey.records order by key")).rows;
    const before = await touched();
    expect(await sweep()).toEqual({ deleted: 0, buried: 0 });
    expect(await touched()).toEqual(before);
  });

  it("is deleted at the end of its fence, which is never before the declared one", async () => {
    await addExpired(10);
    const fences = async (column: string) =>
      (await pool.query(`select key, ${column} as at from oncekey.records order by key`)).rows;
    const declared = await fences("fence_until");
    await sweep();
    for (const [index, { at }] of (await fences("expires_at")).entries()) {
      const lateMs = at.getTime() - declared[index].at.getTime();
      expect(lateMs).toBeGreaterThanOrEqual(0);
      expect(lateMs).toBeLessThanOrEqual(60_000);
    }
    await pool.query("update oncekey.records set expires_at = now()");
    expect(await sweep()).toEqual({ deleted: 10, buried: 0 });
  });

  it("is made of a row that a handler holds once that handler has ended", async () => {
    await addExpired(3);
    const handler = await pool.connect();
    await handler.query("begin");
    await handler.query("select from oncekey.records order by expires_at limit 1 for update");
    expect(await sweep()).toEqual({ deleted: 0, buried: 2 });
    await handler.query("rollback");
    handler.release();
    expect(await sweep()).toEqual({ deleted: 0, buried: 1 });
  });

  it("is made by one process at a time", async () => {
    await addExpired(2_000);
    const swept = await Promise.all([sweep(), sweep(), sweep()]);
    const buried = swept.reduce((sum, one) => sum + one.buried, 0);
    expect(buried).toBeLessThanOrEqual(2_000);
    expect(buried + (await sweep()).buried).toBe(2_000);
  });

  it("is made of few megabytes of bodies at a time", async () => {
    await addExpired(20, 1_048_576);
    expect(await sweepBatch(parts, 1_000)).toMatchObject({ buried: 4, next: expect.any(String) });
    expect(await sweep()).toEqual({ deleted: 0, buried: 16 });
  });
});
