import { migrate } from "@oncekey/server";
import { observeRecords } from "@oncekey/server/opentelemetry";
import { metrics } from "@opentelemetry/api";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { readHealth } from "../../src/store/maintenance/health.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await migrate(pool);
});
beforeEach(() => pool.query("truncate oncekey.records"));

/** Inserts a row whose columns are SQL expressions. */
async function insert(key: string, columns: Readonly<Record<string, string>>): Promise<void> {
  const all = {
    created_at: "now()",
    expires_at: "now() + interval '1 day'",
    ...columns,
  };
  await pool.query(
    `insert into oncekey.records (key, scope, target, fingerprint, ${Object.keys(all).join()})
     values ('${key}', 'ada', 'POST /orders', '\\x00', ${Object.values(all).join()})`,
  );
}

describe("health", () => {
  it("is all zero for an empty table", async () => {
    expect(await readHealth(pool, "oncekey")).toEqual({
      crashed: 0,
      failed: 0,
      unfinished: 0,
      oldestUnfinishedMs: 0,
      tombstones: 0,
      expired: 0,
      sweepLagMs: 0,
    });
  });

  it("counts crashed and running records, the age of the oldest, expired rows and tombstones", async () => {
    const owner = "gen_random_uuid()";
    await insert("running", {
      owner,
      lease_until: "now() + interval '1 minute'",
      created_at: "now() - interval '10 minutes'",
    });
    await insert("crashed", {
      owner,
      lease_until: "now() - interval '1 minute'",
      created_at: "now() - interval '5 minutes'",
    });
    await insert("closed", {
      status: "500",
      headers: "'[]'",
      body: "'\\x01'",
      owner,
      created_at: "now() - interval '2 hours'",
    });
    await insert("abandoned", {
      created_at: "now() - interval '3 hours'",
      expires_at: "now() - interval '2 hours'",
    });
    for (const key of ["finished-1", "finished-2"])
      await insert(key, { status: "201", headers: "'[]'", body: "'\\x01'" });
    for (const key of ["tombstone-1", "tombstone-2", "tombstone-3"])
      await insert(key, { status: "201" });
    await pool.query("analyze oncekey.records");
    const health = await readHealth(pool, "oncekey");
    // The abandoned row has no headers either: tombstones are an estimate.
    expect(health).toMatchObject({
      crashed: 1,
      failed: 1,
      unfinished: 2,
      tombstones: 4,
      expired: 1,
    });
    expect(health.oldestUnfinishedMs).toBeGreaterThanOrEqual(600_000);
    expect(health.oldestUnfinishedMs).toBeLessThan(3_600_000);
    expect(health.sweepLagMs).toBeGreaterThanOrEqual(7_200_000);
  });
});

it("observeRecords() reports the figures as gauges, times in seconds, each time that metrics are collected until it is stopped", async () => {
  const points = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
  const reader = new PeriodicExportingMetricReader({ exporter: points });
  const meters = new MeterProvider({ readers: [reader] });
  metrics.setGlobalMeterProvider(meters);
  const collect = async (): Promise<Record<string, unknown>> => {
    points.reset();
    await reader.forceFlush();
    const found = points.getMetrics().flatMap((one) => one.scopeMetrics);
    return Object.fromEntries(
      found
        .flatMap((scope) => scope.metrics)
        .map(({ descriptor, dataPoints }) => [descriptor.name, dataPoints[0]?.value]),
    );
  };
  const asked: unknown[] = [];
  const health = async (of: unknown) => {
    asked.push(of);
    return {
      crashed: 1,
      failed: 2,
      unfinished: 3,
      oldestUnfinishedMs: 4_000,
      tombstones: 5,
      expired: 6,
      sweepLagMs: 7_000,
    };
  };
  const stop = observeRecords({ health }, pool);
  try {
    expect(await collect()).toEqual({
      "oncekey.records.crashed": 1,
      "oncekey.records.failed": 2,
      "oncekey.records.unfinished": 3,
      "oncekey.records.oldest_unfinished": 4,
      "oncekey.records.tombstones": 5,
      "oncekey.records.expired": 6,
      "oncekey.sweep.lag": 7,
    });
    stop();
    await collect();
    expect(asked).toEqual([pool]);
  } finally {
    stop();
    await meters.shutdown();
    metrics.disable();
  }
});
