/** Sections that are read from values and not from types: problem codes, header names, metrics. */
import { metrics } from "@opentelemetry/api";
import type { Meter } from "@opentelemetry/api";
import { observeRecords, observeWithOpenTelemetry } from "../../server/src/opentelemetry.ts";
import * as shared from "../../shared/src/index.ts";
import type { Declared } from "./declarations.ts";

/** Returns one row for each problem code, with the doc comment of its type. */
export function problemTable(code: Declared): string {
  const rows = Object.entries(shared.PROBLEMS).map(([name, kind]) => {
    const { text = "" } = code.members.find((member) => member.name === name)?.doc ?? {};
    if (text === "") throw new Error(`ProblemCode: ${name} has no doc comment`);
    const isRetryable = kind.retryable ? "yes, after `Retry-After`" : "no";
    const meaning = text.replaceAll(/\s+/g, " ").replace(/\.$/, "");
    return `| \`${name}\` | ${kind.status} | ${isRetryable} | \`${kind.nextAction}\` | ${meaning} |`;
  });
  return table("code | status | retry the same key? | next action | meaning", rows);
}

/** Returns one row for each header of the contract. */
export function headerTable(constants: readonly Declared[]): string {
  const values = shared as unknown as Readonly<Record<string, unknown>>;
  const rows = constants.flatMap(({ name, doc }) => {
    const value = values[name];
    if (typeof value !== "string" || !value.startsWith("Idempot")) return [];
    return [`| \`${value}\` | ${doc.text.replaceAll(/\s+/g, " ").replace(/\.$/, "")} |`];
  });
  return table("header | meaning", rows);
}

/** Returns one row for each instrument that the entry makes. */
export function metricTable(): string {
  const rows: string[] = [];
  const make = (kind: string) => (name: string, options: { description: string; unit: string }) => {
    const { description, unit } = options;
    rows.push(`| \`${name}\` | ${kind} | \`${unit}\` | ${description} |`);
    return { add() {}, record() {}, addCallback() {}, removeCallback() {} };
  };
  const meter = {
    createCounter: make("counter"),
    createHistogram: make("histogram"),
    createUpDownCounter: make("up-down counter"),
    createGauge: make("gauge"),
    createObservableGauge: make("observable gauge"),
    createObservableCounter: make("observable counter"),
    createObservableUpDownCounter: make("observable up-down counter"),
    addBatchObservableCallback() {},
    removeBatchObservableCallback() {},
  } as unknown as Meter;
  metrics.setGlobalMeterProvider({ getMeter: () => meter });
  observeWithOpenTelemetry()();
  observeRecords({ health: () => Promise.reject(new Error("no metrics are collected")) })();
  return table("instrument | kind | unit | meaning", rows);
}

function table(head: string, rows: readonly string[]): string {
  const columns = head.split(" | ").map(() => "---");
  return [`| ${head} |`, `| ${columns.join(" | ")} |`, ...rows].join("\n");
}
