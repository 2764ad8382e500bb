import type pg from "pg";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { purposeLockId } from "../../src/store/lock-id.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import { sweepBatch } from "../../src/store/maintenance/sweep-batch.ts";
import { startSweeper } from "../../src/store/maintenance/sweeper.ts";
import { addPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

async function addExpired(count: number, more = ""): Promise<void> {
  await pool.query(
    `insert into oncekey.records (key, scope, target, fingerprint, status, headers, created_at, expires_at ${more && ", owner, lease_until"})
     select gen_random_uuid()::text, 's', 't', '\\x01', ${more ? "null, null" : "200, '[]'"}, now() - interval '2 days', now() - interval '1 day' ${more}
     from generate_series(1, $1)`,
    [count],
  );
}

async function countExpired(): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    "select count(*)::int as count from oncekey.records where expires_at < now()",
  );
  return rows[0]?.count ?? -1;
}

describe("the sweep", () => {
  it("runs by itself, in batches, and leaves what is not expired", async () => {
    await addExpired(25);
    await withShop(
      { pool, sweep: { intervalMs: 100, batchSize: 10 } },
      (app) => addPayments(app),
      async ({ post }) => {
        await post("/payments", { key: "kept", json: { amount: 1 } });
        await expect.poll(countExpired).toBe(0);
        expect(
          (await post("/payments", { key: "kept", json: { amount: 1 } })).headers.get(
            "idempotent-replayed",
          ),
        ).toBe("true");
      },
    );
  });

  it("is done by one process at a time", async () => {
    await addExpired(5);
    const parts = createStoreParts(pool, "oncekey");
    const other = await pool.connect();
    await other.query("begin");
    await other.query("select pg_advisory_xact_lock($1::bigint)", [
      purposeLockId("oncekey", "sweep"),
    ]);
    expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: 0 });
    await other.query("rollback");
    other.release();
    expect(await sweepBatch(parts, 100)).toMatchObject({ deleted: 5 });
  });

  it("leaves an expired row alone whose lease still runs", async () => {
    await addExpired(1, ", gen_random_uuid(), now() + interval '1 minute'");
    expect(await sweepBatch(createStoreParts(pool, "oncekey"), 100)).toMatchObject({ deleted: 0 });
    await pool.query("delete from oncekey.records where owner is not null");
  });

  it("holds up its stop for 2 s at most while a batch waits for a database that is away", async () => {
    const begun = Promise.withResolvers<void>();
    const sweeper = startSweeper(
      () => [pool],
      () => {
        begun.resolve();
        return new Promise<never>(() => {});
      },
      { intervalMs: 10 },
      () => {},
    );
    await begun.promise;
    await sweeper.stop();
  });

  it("that fails is reported, tried again, and stopped with the application", async () => {
    const outcomes: object[] = [];
    let calls = 0;
    const sweep = vi.fn(async () => {
      calls += 1;
      if (calls === 1) throw new Error("down");
      return { deleted: 0, buried: 0, next: undefined };
    });
    const sweeper = startSweeper(
      () => [pool],
      sweep,
      { intervalMs: 10 },
      (outcome) => outcomes.push(outcome),
    );
    await expect.poll(() => outcomes.length).toBeGreaterThan(1);
    await sweeper.stop();
    expect(outcomes.slice(0, 2)).toEqual([{ error: new Error("down") }, { deleted: 0, buried: 0 }]);
    const after = calls;
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(calls).toBe(after);
  });
});
