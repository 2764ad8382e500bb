/** `bench:client`: what the client adds to a request, in Node and in Chromium, under two minutes. Writes docs/reports/client-cost.md. */
import { availableParallelism, loadavg } from "node:os";
import { describeCommit, PAGES, writePage } from "@oncekey/test-support/reporting/page";
import { measure } from "./measurement.ts";
import type { Measurement, Plan } from "./measurement.ts";
import { costTable, pageOf } from "./page.ts";
import { OPEN } from "./runtimes.ts";

const PLAN: Plan = { rounds: 15, limitMs: 30_000, warmUp: 2, calls: 200 };

const commit = describeCommit();
// Before: the measurement itself keeps a core busy.
const isLoaded = (loadavg()[0] ?? 0) > availableParallelism() / 2;
const measurements: Measurement[] = [];
for (const open of OPEN) {
  const runtime = await open();
  try {
    const measurement = await measure(runtime, PLAN);
    measurements.push(measurement);
    console.log(`${measurement.runtime}\n${costTable(measurement.costs)}`);
  } finally {
    await runtime.close();
  }
}
await writePage(`${PAGES}client-cost.md`, pageOf(measurements, PLAN, commit, isLoaded));
