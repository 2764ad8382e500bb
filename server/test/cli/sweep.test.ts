import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { purposeLockId } from "../../src/store/lock-id.ts";
import { oncekey, oncekeyInTerminal, oncekeyJson } from "./command.ts";

const database = withDatabase();
let pool: pg.Pool;
let there: string[];
beforeAll(() => {
  pool = database.pool();
  there = ["--database-url", database.url];
});
beforeEach(async () => {
  await pool.query("truncate oncekey.records");
});

async function addRecords(count: number, expires: string): Promise<void> {
  await pool.query(
    `insert into oncekey.records (key, scope, target, fingerprint, status, headers, body, created_at, expires_at)
     select gen_random_uuid()::text, 'anna', 'POST /payments', '\\x00', 201, '[]', 'made',
       now() - interval '2 days', now() + $2::interval
     from generate_series(1, $1::int)`,
    [count, expires],
  );
}

async function countRecords(): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    "select count(*)::int as count from oncekey.records",
  );
  return rows[0]?.count ?? -1;
}

describe("oncekey sweep", () => {
  it("deletes what has expired and nothing else, and shows each tenth of the way", async () => {
    await addRecords(4_500, "-1 hour");
    await addRecords(3, "1 hour");
    const { code, out, err } = await oncekey(["sweep", ...there]);
    expect([code, out]).toEqual([0, "deleted 4,500 expired records\n"]);
    expect(err).toBe(
      [1_000, 2_000, 3_000, 4_000, 4_500]
        .map((done) => `swept ${done.toLocaleString("en-US")} of 4,500 expired records\n`)
        .join(""),
    );
    expect(await countRecords()).toBe(3);
  });

  it("prints no progress if there is nothing to delete", async () => {
    const end = await oncekey(["sweep", ...there]);
    expect(end).toEqual({ code: 0, out: "deleted 0 expired records\n", err: "" });
  });

  it("leaves the work to a process that is sweeping already, and prints so", async () => {
    await addRecords(1, "-1 hour");
    const client = await pool.connect();
    await client.query("begin");
    await client.query("select pg_advisory_xact_lock($1::bigint)", [
      purposeLockId("oncekey", "sweep"),
    ]);
    const { code, out, err } = await oncekey(["sweep", ...there]);
    await client.query("rollback");
    client.release();
    expect([code, out]).toEqual([0, "deleted 0 expired records\n"]);
    expect(err).toBe("left 1 expired record: another process is sweeping, or handlers hold them\n");
    expect(await countRecords()).toBe(1);
  });

  it.runIf(process.platform === "linux")(
    "counts up on one line of a terminal (on Linux, where script makes one)",
    async () => {
      await addRecords(2_500, "-1 hour");
      const { out } = await oncekeyInTerminal(["sweep", ...there]);
      expect(out).toContain(
        "\rswept 1,000 of 2,500 expired records\rswept 2,000 of 2,500 expired records\r",
      );
      expect(out.endsWith("\r\u001B[Kdeleted 2,500 expired records\r\n")).toBe(true);
    },
  );
});

describe("oncekey stats", () => {
  it("counts the records by what they are", async () => {
    await addRecords(1_200, "-1 hour");
    await addRecords(2, "1 hour");
    const { code, out } = await oncekey(["stats", ...there]);
    expect(code).toBe(0);
    expect(out).toMatch(/^records {5}1,202$/m);
    expect(out).toMatch(/^finished {4}2, 0 of them without a body$/m);
    expect(out).toMatch(/^expired {5}1,200 to sweep, the oldest for 60 min$/m);
    expect(out).toMatch(/^size {8}[\d.]+ [kM]B$/m);
  });

  it("gives programs numbers without units or separators", async () => {
    await addRecords(1_200, "-1 hour");
    expect(await oncekeyJson(["stats", ...there])).toMatchObject({
      records: 1_200,
      finished: 0,
      expired: 1_200,
      lagMs: expect.any(Number),
      sizeBytes: expect.any(Number),
    });
  });

  it("has a word for nothing", async () => {
    const { code, out } = await oncekey(["stats", ...there]);
    expect(code).toBe(0);
    expect(out).toMatch(/^expired {5}0 to sweep$/m);
    expect(out).toMatch(/^oldest {6}none$/m);
  });
});
