/** The buffers that a page of `list` reads of a table of 100,000 rows: times would depend on the machine. */
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { listRecords } from "../../src/store/maintenance/list.ts";
import type { ListQuery } from "../../src/store/maintenance/list.ts";
import { createStatements } from "../../src/store/sql/statements.ts";
import { POSTGRES } from "../../src/store/postgres/dialect.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool({ max: 1 });
  await pool.query(`
    insert into oncekey.records (key, scope, target, fingerprint, status, headers, body, created_at, expires_at, fence_until)
    select md5(n::text), 's' || n % 1000, 'POST /payments', '\\x01', 201, '[]', decode(repeat('ab', 200), 'hex'),
      now() - n * interval '1 second', now() + interval '1 day', now() + interval '30 days'
    from generate_series(1, 100000) as n`);
  await pool.query(`
    insert into oncekey.records (key, scope, target, fingerprint, owner, lease_until, created_at, expires_at)
    select 'crashed-' || n, 's', 'POST /payments', '\\x01', gen_random_uuid(), now() - interval '1 minute',
      now() - n * interval '1 minute', now() + interval '30 days'
    from generate_series(1, 500) as n`);
  await pool.query("vacuum analyze oncekey.records");
});

// Before PostgreSQL 15 a session cannot be asked to write its statistics.
const isUncounted = process.env["ONCEKEY_POSTGRES"] === "14";
const uncounted = isUncounted ? " (not counted: PostgreSQL 14 keeps its statistics back)" : "";

/** Returns how many buffers the statements of `run` touch, by the statistics of the table and its indexes. */
async function buffersOf(run: () => Promise<unknown>): Promise<number> {
  const read = async (): Promise<number> => {
    const { rows } = await pool.query<{ blocks: number }>(`
      select pg_stat_force_next_flush(), (select (heap_blks_read + heap_blks_hit + idx_blks_read + idx_blks_hit)::float8
        from pg_statio_all_tables where relid = 'oncekey.records'::regclass) as blocks`);
    return rows[0]?.blocks ?? Number.NaN;
  };
  await read();
  const before = await read();
  await run();
  await read();
  return (await read()) - before;
}

const page = (query: ListQuery) => () => listRecords(pool, "oncekey", query, undefined);

describe("a page of list in a table of 100,000 rows", () => {
  it.skipIf(isUncounted).each<[string, ListQuery]>([
    ["of everything", {}],
    ["of the crashed ones", { state: "crashed" }],
    ["of the finished ones", { state: "finished" }],
    ["of a scope with one row in a thousand", { scope: "s7" }],
    ["of a state that no record has", { state: "tombstone" }],
  ])(`reads no more than its rows are worth as look-ups: %s${uncounted}`, async (name, query) => {
    const ticket = [`'crashed-1'`, "'s'", "'POST /payments'"];
    const lookup = createStatements("oncekey", POSTGRES)
      .lookup.replace("$1::text", ticket[0] ?? "")
      .replace("$2::text", ticket[1] ?? "")
      .replace("$3::text", ticket[2] ?? "");
    const one = await buffersOf(() => pool.query(lookup));
    const buffers = await buffersOf(page({ ...query, limit: 100 }));
    console.log(`list ${name}: ${buffers} buffers, a look-up ${one}`);
    expect(one).toBeGreaterThan(0);
    // A page has 100 rows. Rows come by 500 at a time, and 5,000 at most if a filter matches little.
    const isRare = query.scope !== undefined || query.state === "tombstone";
    expect(buffers / one).toBeLessThan(isRare ? 2_000 : 300);
  });

  it("finds the crashed ones by the partial index", async () => {
    const first = await page({ state: "crashed", limit: 100 })();
    expect(first.records).toHaveLength(100);
    expect(first.records[0]?.key).toBe("crashed-500");
    const rest = await listRecords(
      pool,
      "oncekey",
      { state: "crashed", limit: 1_000, cursor: first.cursor },
      undefined,
    );
    expect(rest.records).toHaveLength(400);
  });
});

describe("the index of unfinished records", () => {
  it.skipIf(isUncounted)(
    `leaves a heartbeat a HOT update, which changes no index${uncounted}`,
    async () => {
      // Alone on its page, which has room for the next versions.
      await pool.query("truncate oncekey.records");
      const { renewLease } = createStatements("oncekey", POSTGRES);
      await pool.query(`
      insert into oncekey.records (key, scope, target, fingerprint, owner, lease_until, created_at, expires_at)
      values ('beats', 's', 't', '\\x01', '00000000-0000-4000-8000-000000000000', now() + interval '1 minute', now(), now())`);
      const hot = async () => {
        const { rows } = await pool.query<{ hot: number; all: number }>(`
        select pg_stat_force_next_flush(), n_tup_hot_upd::float8 as hot, n_tup_upd::float8 as all
        from pg_stat_all_tables where relid = 'oncekey.records'::regclass`);
        return rows[0] ?? { hot: Number.NaN, all: Number.NaN };
      };
      await hot();
      const before = await hot();
      const values = ["beats", "s", "t", "00000000-0000-4000-8000-000000000000", "30000"];
      for (let beat = 0; beat < 5; beat += 1) await pool.query(renewLease, values);
      await hot();
      const after = await hot();
      expect([after.all - before.all, after.hot - before.hot]).toEqual([5, 5]);
    },
  );

  it("has no entry of a one-commit record", async () => {
    const size = async () =>
      (await pool.query("select pg_relation_size('oncekey.records_open')::float8 as size")).rows[0]
        ?.size;
    const before = await size();
    await pool.query(`
      insert into oncekey.records (key, scope, target, fingerprint, status, headers, created_at, expires_at)
      select 'more-' || n, 's', 't', '\\x01', 201, '[]', now(), now() from generate_series(1, 20000) as n`);
    expect(await size()).toBe(before);
  });
});
