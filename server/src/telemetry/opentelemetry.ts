/** Spans and metrics for OpenTelemetry, made from the plugin's channels. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { metrics, SpanStatusCode, trace } from "@opentelemetry/api";
import type {
  Attributes,
  BatchObservableResult,
  Histogram,
  Meter,
  ObservableGauge,
  Tracer,
} from "@opentelemetry/api";
import type { Pool } from "pg";
import type { BeginEvent, CompleteEvent, RouteLabels, TelemetryEvents } from "./events.ts";

const SCOPE = "@oncekey/server";

// Histogram buckets, from a stored key on the same host to the longest wait of a handler.
const BUCKETS_S = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

// Outcomes that are errors of the server or the store; refusals of the contract are not.
const TROUBLE: ReadonlySet<string> = new Set(["unavailable", "unknown", "rolled-back", "lost"]);

/**
 * Sends the plugin's events to the tracer and meter providers that are registered globally at the time of the call: call it once,
 * after the SDK was started.
 *
 * Spans: `oncekey begin` and `oncekey complete` below the active span. The active span gets the attributes `oncekey.strategy`,
 * `oncekey.outcome`, `oncekey.key_digest` and `oncekey.wait_ms`, and the event `oncekey.lease_lost`.
 * Counters: `oncekey.begins`, `oncekey.completions`, `oncekey.heartbeats`,
 * `oncekey.leases.lost`, `oncekey.rows.swept`.
 * Histograms: `oncekey.begin.duration`, `oncekey.wait.duration` and
 * `oncekey.complete.duration`, in seconds. No metric has the key's digest.
 *
 * @returns a function that ends it.
 */
export function observeWithOpenTelemetry(): () => void {
  const tracer = trace.getTracer(SCOPE);
  const meter = metrics.getMeter(SCOPE);
  const stops = [
    on("oncekey:begin", observeBegins(tracer, meter)),
    on("oncekey:complete", observeCompletions(tracer, meter)),
    on("oncekey:heartbeat", observeHeartbeats(meter)),
    on("oncekey:lease-lost", observeLostLeases(meter)),
    on("oncekey:sweep", observeSweeps(meter)),
    ...observeDecisions(meter),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

/** The figures of `app.idempotency.health()` that are reported. */
export interface RecordFigures {
  readonly crashed: number;
  readonly failed: number;
  readonly unfinished: number;
  readonly oldestUnfinishedMs: number;
  readonly tombstones: number;
  readonly expired: number;
  readonly sweepLagMs: number;
}

/**
 * Reads the table each time that metrics are collected, and reports gauges: `oncekey.records.crashed`, `oncekey.records.failed`,
 * `oncekey.records.unfinished`, `oncekey.records.oldest_unfinished`, `oncekey.records.tombstones`, `oncekey.records.expired` and
 * `oncekey.sweep.lag`. Each process of a fleet reports the same figures of the database: take their maximum.
 *
 * @param of `app.idempotency`. @param pool needed only if the option `pool` is a function.
 * @returns a function that ends it.
 */
export function observeRecords(
  of: { readonly health: (pool?: Pool) => Promise<RecordFigures> },
  pool?: Pool,
): () => void {
  const meter = metrics.getMeter(SCOPE);
  const gauge = (name: string, unit: string, description: string): ObservableGauge =>
    meter.createObservableGauge(name, { unit, description });
  const crashed = gauge(
    "oncekey.records.crashed",
    "{record}",
    "Leases whose owner did not finish, and that no request has taken over",
  );
  const failed = gauge(
    "oncekey.records.failed",
    "{record}",
    "Keys that were closed without an answer of their handler",
  );
  const unfinished = gauge(
    "oncekey.records.unfinished",
    "{record}",
    "Records without a response, running and crashed",
  );
  const oldest = gauge(
    "oncekey.records.oldest_unfinished",
    "s",
    "Age of the oldest record without a response",
  );
  const tombstones = gauge(
    "oncekey.records.tombstones",
    "{record}",
    "Keys that are remembered without a response, as of the last ANALYZE",
  );
  const expired = gauge("oncekey.records.expired", "{record}", "Expired rows, not yet swept");
  const lag = gauge("oncekey.sweep.lag", "s", "Time since the oldest unswept row expired");
  const gauges = [crashed, failed, unfinished, oldest, tombstones, expired, lag];
  const observe = async (result: BatchObservableResult): Promise<void> => {
    const health = await of.health(pool);
    result.observe(crashed, health.crashed);
    result.observe(failed, health.failed);
    result.observe(unfinished, health.unfinished);
    result.observe(oldest, health.oldestUnfinishedMs / 1_000);
    result.observe(tombstones, health.tombstones);
    result.observe(expired, health.expired);
    result.observe(lag, health.sweepLagMs / 1_000);
  };
  meter.addBatchObservableCallback(observe, gauges);
  return () => meter.removeBatchObservableCallback(observe, gauges);
}

type Listener<Name extends keyof TelemetryEvents> = (event: TelemetryEvents[Name]) => void;

function on<Name extends keyof TelemetryEvents>(name: Name, listener: Listener<Name>): () => void {
  const onMessage = (message: unknown): void => listener(message as TelemetryEvents[Name]);
  subscribe(name, onMessage);
  return () => void unsubscribe(name, onMessage);
}

function observeBegins(tracer: Tracer, meter: Meter): Listener<"oncekey:begin"> {
  const begins = meter.createCounter("oncekey.begins", {
    description: "Requests on protected routes, by what was decided for them",
    unit: "{request}",
  });
  const beginDuration = seconds(meter, "oncekey.begin.duration", "Claiming or looking up a key");
  const waitDuration = seconds(meter, "oncekey.wait.duration", "Waiting for a running request");
  return (event) => {
    const { outcome, beginMs, waitMs } = event;
    const route = routeAttributes(event);
    const own = { ...ownAttributes(event), "oncekey.wait_ms": waitMs };
    const labels = { ...route, "oncekey.outcome": outcome };
    begins.add(1, labels);
    beginDuration.record(beginMs / 1_000, labels);
    if (waitMs > 0) waitDuration.record(waitMs / 1_000, labels);
    trace.getActiveSpan()?.setAttributes(own);
    record(tracer, "oncekey begin", {
      elapsedMs: beginMs + waitMs,
      attributes: { ...route, ...own },
    });
  };
}

function observeCompletions(tracer: Tracer, meter: Meter): Listener<"oncekey:complete"> {
  const completions = meter.createCounter("oncekey.completions", {
    description: "Claims, by how they ended",
    unit: "{claim}",
  });
  const duration = seconds(meter, "oncekey.complete.duration", "Storing and committing");
  return (event) => {
    const { outcome, completeMs } = event;
    const route = routeAttributes(event);
    const labels = { ...route, "oncekey.outcome": outcome };
    completions.add(1, labels);
    duration.record(completeMs / 1_000, labels);
    const attributes = { ...route, ...ownAttributes(event) };
    record(tracer, "oncekey complete", { elapsedMs: completeMs, attributes });
  };
}

function observeHeartbeats(meter: Meter): Listener<"oncekey:heartbeat"> {
  const heartbeats = meter.createCounter("oncekey.heartbeats", {
    description: "Renewals of leases, by how they ended",
    unit: "{heartbeat}",
  });
  return ({ outcome }) => heartbeats.add(1, { "oncekey.outcome": outcome });
}

function observeLostLeases(meter: Meter): Listener<"oncekey:lease-lost"> {
  const losses = meter.createCounter("oncekey.leases.lost", {
    description: "Leases that another took over, or may have",
    unit: "{lease}",
  });
  return ({ reason }) => {
    losses.add(1);
    trace.getActiveSpan()?.addEvent("oncekey.lease_lost", { "oncekey.reason": reason });
  };
}

/** Counts crashes that were found, and what was decided about records. */
function observeDecisions(meter: Meter): (() => void)[] {
  const crashes = meter.createCounter("oncekey.crashes", {
    description: "Leases without an answer that were found, by what found them",
    unit: "{lease}",
  });
  const resolved = meter.createCounter("oncekey.records.resolved", {
    description: "Records that got an answer from a person or from crash recovery",
    unit: "{record}",
  });
  const forgotten = meter.createCounter("oncekey.records.forgotten", {
    description: "Records that were deleted by hand",
    unit: "{record}",
  });
  return [
    on("oncekey:crashed", ({ foundBy }) => crashes.add(1, { "oncekey.found_by": foundBy })),
    on("oncekey:resolved", () => resolved.add(1)),
    on("oncekey:forgotten", ({ records }) => forgotten.add(records)),
  ];
}

function observeSweeps(meter: Meter): Listener<"oncekey:sweep"> {
  const rows = meter.createCounter("oncekey.rows.swept", {
    description: "Expired rows that this process deleted",
    unit: "{row}",
  });
  return ({ deletedRows }) => rows.add(deletedRows);
}

function seconds(meter: Meter, name: string, description: string): Histogram {
  return meter.createHistogram(name, {
    description,
    unit: "s",
    advice: { explicitBucketBoundaries: BUCKETS_S },
  });
}

/** By the names of OpenTelemetry's HTTP semantic conventions where there is one; few enough for a metric. */
function routeAttributes({ strategy, method, route }: RouteLabels): Attributes {
  return { "oncekey.strategy": strategy, "http.request.method": method, "http.route": route };
}

function ownAttributes({ strategy, outcome, keyDigest }: BeginEvent | CompleteEvent): Attributes {
  return {
    "oncekey.strategy": strategy,
    "oncekey.outcome": outcome,
    ...(keyDigest === undefined ? {} : { "oncekey.key_digest": keyDigest }),
  };
}

// The event comes when the work is done, so the span is written with the start that it had.
function record(
  tracer: Tracer,
  name: string,
  { elapsedMs, attributes }: { readonly elapsedMs: number; readonly attributes: Attributes },
): void {
  const outcome = attributes["oncekey.outcome"];
  const span = tracer.startSpan(name, { startTime: Date.now() - elapsedMs, attributes });
  if (typeof outcome === "string" && TROUBLE.has(outcome))
    span.setStatus({ code: SpanStatusCode.ERROR, message: outcome });
  span.end();
}
