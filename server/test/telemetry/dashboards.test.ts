/** The dashboard and the alerts name metrics, labels and outcomes that the code has. */
import { readFile } from "node:fs/promises";
import { observeRecords, observeWithOpenTelemetry } from "@oncekey/server/opentelemetry";
import { createNoopMeter, metrics } from "@opentelemetry/api";
import type { Meter, MetricOptions } from "@opentelemetry/api";
import { beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { anchorsOf } from "../../../scripts/slug.ts";

const LABELS = new Set([
  "job",
  "le",
  "oncekey_outcome",
  "oncekey_strategy",
  "oncekey_found_by",
  "http_route",
]);

const RUNBOOK_URL =
  /^https:\/\/github\.com\/oncekey\/oncekey\/blob\/main\/(docs\/[\w/-]+\.md)(?:#(\S+))?$/;

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly w: number };
  readonly targets?: readonly { readonly expr: string }[];
}

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly labels: { readonly severity: string };
  readonly annotations: Readonly<Record<"summary" | "description" | "runbook_url", string>>;
}

const read = (path: string): Promise<string> =>
  readFile(new URL(`../../../${path}`, import.meta.url), "utf8");

let panels: readonly Panel[];
let rules: readonly Rule[];
/** The names that Prometheus gives the series of our instruments. */
let series: ReadonlySet<string>;
beforeAll(async () => {
  const dashboard = JSON.parse(await read("dashboards/grafana.json")) as { panels: Panel[] };
  panels = dashboard.panels;
  const alerts = parse(await read("dashboards/alerts.yaml")) as {
    groups: { name: string; rules: Rule[] }[];
  };
  expect(alerts.groups.map(({ name }) => name)).toEqual(["oncekey"]);
  rules = alerts.groups.flatMap((group) => group.rules);
  series = recordInstruments();
});

/** Collects the names of all instruments, as OpenTelemetry's exporters for Prometheus write them. */
function recordInstruments(): ReadonlySet<string> {
  const names = new Set<string>();
  const noop = createNoopMeter();
  const note = (name: string, unit: string | undefined, endings: readonly string[]): void => {
    const whole = `${name.replaceAll(".", "_")}${unit === "s" ? "_seconds" : ""}`;
    for (const ending of endings) names.add(`${whole}${ending}`);
  };
  const meter: Meter = Object.assign(Object.create(noop) as Meter, {
    createCounter(name: string, options?: MetricOptions) {
      note(name, options?.unit, ["_total"]);
      return noop.createCounter(name);
    },
    createHistogram(name: string, options?: MetricOptions) {
      note(name, options?.unit, ["_bucket", "_sum", "_count"]);
      return noop.createHistogram(name);
    },
    createObservableGauge(name: string, options?: MetricOptions) {
      note(name, options?.unit, [""]);
      return noop.createObservableGauge(name);
    },
  });
  metrics.setGlobalMeterProvider({ getMeter: () => meter });
  observeWithOpenTelemetry()();
  observeRecords({ health: () => Promise.reject(new Error("no metrics are collected")) })();
  metrics.disable();
  return names;
}

/** Expressions of the panels and of the alerts, each with where it stands. */
function expressions(): readonly (readonly [where: string, expr: string])[] {
  const ofPanels = panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => [title, expr] as const),
  );
  return [...ofPanels, ...rules.map(({ alert, expr }) => [alert, expr] as const)];
}

describe("dashboards", () => {
  it("use only series that the instruments of the code make", () => {
    expect(series.size).toBeGreaterThan(15);
    for (const [where, expr] of expressions()) {
      const used = expr.match(/\boncekey_(?!outcome|strategy|found_by)\w+/g) ?? [];
      expect(used, where).not.toEqual([]);
      for (const name of used) expect(series, `${where}: ${name}`).toContain(name);
    }
  });

  it("show every gauge and counter", () => {
    const text = expressions()
      .map(([, expr]) => expr)
      .join(" ");
    for (const name of series)
      if (!/_(sum|count)$/.test(name)) expect(text, name).toMatch(new RegExp(`\\b${name}\\b`));
  });

  it("use only labels and outcomes that the events have", async () => {
    const events = await read("server/src/telemetry/events.ts");
    const store = await read("server/src/store/store.ts");
    for (const [where, expr] of expressions()) {
      for (const [, label = "", value = ""] of expr.matchAll(/(\w+)=~?"([^"]*)"/g)) {
        expect(LABELS, `${where}: ${label}`).toContain(label);
        if (label !== "oncekey_outcome") continue;
        for (const outcome of value.split("|"))
          expect(events + store, `${where}: ${outcome}`).toContain(`"${outcome}"`);
      }
    }
  });
});

it("grafana.json has panels with ids of their own, inside of the grid", () => {
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  for (const { type, title, gridPos, targets } of panels) {
    expect(["row", "stat", "timeseries"], title).toContain(type);
    expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
    expect((targets ?? []).length > 0, title).toBe(type !== "row");
  }
});

it("alerts.yaml has rules with a name of their own, a duration, a severity and a page of the docs", async () => {
  expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
  for (const { alert, for: duration, labels, annotations } of rules) {
    expect(duration, alert).toMatch(/^\d+m$/);
    expect(["page", "ticket"], alert).toContain(labels.severity);
    expect(annotations.summary, alert).not.toBe("");
    const [, path = "", anchor] = RUNBOOK_URL.exec(annotations.runbook_url) ?? [];
    const page = await read(path);
    if (anchor !== undefined) expect(anchorsOf(page), alert).toContain(anchor);
  }
});
