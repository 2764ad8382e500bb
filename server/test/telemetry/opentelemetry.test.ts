import { channel } from "node:diagnostics_channel";
import { observeWithOpenTelemetry } from "@oncekey/server/opentelemetry";
import { context, metrics, SpanStatusCode, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import type { ReadableSpan } from "@opentelemetry/sdk-trace";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { withShop } from "../support/shop.ts";

const spans = new InMemorySpanExporter();
const points = new InMemoryMetricExporter(AggregationTemporality.DELTA);
const reader = new PeriodicExportingMetricReader({ exporter: points });
const meters = new MeterProvider({ readers: [reader] });
const tracers = new TracerProvider({
  spanProcessors: [new SimpleSpanProcessor({ exporter: spans })],
});

const database = withDatabase();
let pool: pg.Pool;
let stop: () => void;
beforeAll(() => {
  pool = database.pool();
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(tracers);
  metrics.setGlobalMeterProvider(meters);
  stop = observeWithOpenTelemetry();
});
beforeEach(async () => {
  await reader.forceFlush();
  points.reset();
  spans.reset();
});
afterAll(async () => {
  stop();
  await meters.shutdown();
  await tracers.shutdown();
});

/** A span around each request, as the instrumentation of an HTTP server makes it. */
function traceRequests(app: FastifyInstance): void {
  app.addHook("onRequest", (request, _reply, done) => {
    const span = trace.getTracer("test").startSpan("request");
    request.raw.once("close", () => span.end());
    context.with(trace.setSpan(context.active(), span), done);
  });
}

/** Sums of the counters, and counts or sums of the histograms, since the test began, by name and outcome. */
async function measured(of: "count" | "sum" = "count"): Promise<Record<string, number>> {
  await reader.forceFlush();
  const sums: Record<string, number> = {};
  const scopes = points.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics);
  for (const { descriptor, dataPoints } of scopes.flatMap((scope) => scope.metrics)) {
    for (const { attributes, value } of dataPoints) {
      const name = [descriptor.name, attributes["oncekey.outcome"]].filter(Boolean).join(" ");
      const amount = typeof value === "number" ? value : (value[of] ?? 0);
      sums[name] = (sums[name] ?? 0) + amount;
    }
  }
  return sums;
}

function named(name: string): ReadableSpan[] {
  return spans.getFinishedSpans().filter((span) => span.name === name);
}

describe("OpenTelemetry", () => {
  it("gets a span for the claim and one for the completion, below the request's own span with the outcome", async () => {
    await withShop(
      { pool },
      (app) => {
        traceRequests(app);
        app.post("/orders/:id", { config: { idempotency: true } }, async () => "done");
      },
      async ({ post }) => {
        const key = crypto.randomUUID();
        await post("/orders/1", { key });
        await post("/orders/1", { key });
        await expect.poll(() => named("request").length).toBe(2);
      },
    );
    const [first, again] = named("request");
    const [begun, replayed] = named("oncekey begin");
    const [completed, ...more] = named("oncekey complete");
    expect(more).toEqual([]);
    const parents = [begun, completed, replayed].map((span) => span?.parentSpanContext?.spanId);
    const requests = [first, again].map((span) => span?.spanContext().spanId);
    expect(parents).toEqual([requests[0], requests[0], requests[1]]);
    const digest = begun?.attributes["oncekey.key_digest"];
    expect(digest).toMatch(/^[0-9a-f]{16}$/);
    expect(first?.attributes).toMatchObject({ "oncekey.outcome": "claimed" });
    expect(again?.attributes).toMatchObject({
      "oncekey.outcome": "replay",
      "oncekey.strategy": "advisory",
      "oncekey.key_digest": digest,
      "oncekey.wait_ms": 0,
    });
    expect(completed?.attributes).toMatchObject({
      "oncekey.outcome": "stored",
      "http.request.method": "POST",
      "http.route": "/orders/:id",
    });
    const [seconds = -1, nanoseconds = -1] = completed?.duration ?? [];
    expect(seconds + nanoseconds).toBeGreaterThan(0);
  });

  it("counts outcomes and times, without the digest of a key", async () => {
    const gate = createGate();
    await withShop(
      { pool, waitMs: 50 },
      (app) => {
        app.post("/slow", { config: { idempotency: true } }, async () => {
          await gate.pass();
          return "done";
        });
      },
      async ({ post }) => {
        const key = crypto.randomUUID();
        const first = post("/slow", { key });
        await gate.reached;
        await post("/slow", { key });
        gate.open();
        await first;
        await post("/slow", { key });
        await post("/slow");
      },
    );
    expect(await measured()).toEqual({
      "oncekey.begins claimed": 1,
      "oncekey.begins in-flight": 1,
      "oncekey.begins replay": 1,
      "oncekey.begins refused": 1,
      "oncekey.begin.duration claimed": 1,
      "oncekey.begin.duration in-flight": 1,
      "oncekey.begin.duration replay": 1,
      "oncekey.begin.duration refused": 1,
      "oncekey.wait.duration in-flight": 1,
      "oncekey.completions stored": 1,
      "oncekey.complete.duration stored": 1,
    });
    expect(JSON.stringify(points.getMetrics())).not.toContain("key_digest");
  });

  it("gets spans that last as long as the claim with its wait, and as the completion", async () => {
    const about = { strategy: "advisory", method: "POST", route: "/slow", keyDigest: undefined };
    const begin = { ...about, outcome: "in-flight", beginMs: 20_000, waitMs: 300_000 };
    channel("oncekey:begin").publish(begin);
    channel("oncekey:complete").publish({ ...about, outcome: "stored", completeMs: 4_000 });
    const lasted = (name: string): number => named(name)[0]?.duration[0] ?? 0;
    expect(lasted("oncekey begin")).toBeGreaterThanOrEqual(319);
    expect(lasted("oncekey complete")).toBeGreaterThanOrEqual(3);
    expect(await measured("sum")).toMatchObject({
      "oncekey.begin.duration in-flight": 20,
      "oncekey.wait.duration in-flight": 300,
      "oncekey.complete.duration stored": 4,
    });
  });

  it("counts heartbeats and lost leases, and marks the request that lost its own", async () => {
    const gate = createGate();
    await withShop(
      { pool, strategy: "lease", lease: { durationMs: 1_000, onCrash: "rerun" } },
      (app) => {
        traceRequests(app);
        app.post("/charge", { config: { idempotency: true } }, async ({ idempotency }) => {
          await new Promise((resolve) => idempotency.signal.addEventListener("abort", resolve));
          await gate.pass();
        });
      },
      async ({ post }) => {
        const answer = post("/charge", { key: "lost" });
        const takeOver = "update oncekey.records set owner = gen_random_uuid() where key = 'lost'";
        await expect.poll(async () => (await pool.query(takeOver)).rowCount).toBe(1);
        await gate.reached;
        gate.open();
        await answer;
        await expect.poll(() => named("request").length).toBe(1);
      },
    );
    expect(named("request")[0]?.events.map(({ name }) => name)).toEqual(["oncekey.lease_lost"]);
    expect(named("oncekey complete")[0]?.status.code).toBe(SpanStatusCode.ERROR);
    expect(await measured()).toMatchObject({
      "oncekey.heartbeats taken-over": 1,
      "oncekey.leases.lost": 1,
    });
  });

  it("counts swept rows, and nothing any more once it was ended", async () => {
    const add = `insert into oncekey.records (key, scope, target, fingerprint, status, headers, created_at, expires_at)
      select gen_random_uuid()::text, 's', 't', '\\x01', 200, '[]', now() - interval '2 days', now() - interval '1 day'
      from generate_series(1, 3)`;
    await withShop(
      { pool, sweep: false },
      () => undefined,
      async ({ app }) => {
        await pool.query(add);
        expect(await app.idempotency.sweep()).toMatchObject({ deleted: 3 });
        expect(await measured()).toEqual({ "oncekey.rows.swept": 3 });
        stop();
        points.reset();
        await pool.query(add);
        expect(await app.idempotency.sweep()).toMatchObject({ deleted: 3 });
        expect(await measured()).toEqual({});
      },
    );
  });
});
