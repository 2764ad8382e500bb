import { isDeep } from "@oncekey/test-support/lanes/depth";
import { describe, expect, it } from "vitest";
import { measure } from "./measurement.ts";
import type { Measurement, Plan } from "./measurement.ts";
import { pageOf } from "./page.ts";
import { OPEN } from "./runtimes.ts";
import type { Runtime } from "./runtimes.ts";
import { SUBJECTS } from "./subjects.ts";

const PLAN: Plan = { rounds: 3, limitMs: Infinity, warmUp: 1, calls: 2 };

describe.runIf(isDeep)("a measurement with a handful of calls (in test:deep)", () => {
  it.each(OPEN)("has time and bytes of every subject (%o)", async (open) => {
    const runtime = await open();
    try {
      const { costs, rounds, runtime: name } = await measure(runtime, PLAN);
      expect(name).toMatch(/^(Node|Chromium) \d+\./);
      expect(rounds).toBe(3);
      expect(costs.map(({ subject }) => subject)).toEqual(SUBJECTS);
      for (const { us, overFetch, overKy, bytes } of costs) {
        expect(Math.min(us, overFetch, overKy)).toBeGreaterThan(0);
        expect(bytes).toBeGreaterThan(1_000);
      }
      expect(costs[0]?.overFetch).toBe(1);
      expect(costs[1]?.overKy).toBe(1);
    } finally {
      await runtime.close();
    }
  });
});

describe("the limit of a measurement", () => {
  it("ends it after the first measured round if the time is over", async () => {
    const runtime: Runtime = {
      name: "Node 24",
      time: async () => 1,
      allocate: async () => 1,
      close: async () => undefined,
    };
    const { rounds } = await measure(runtime, { ...PLAN, limitMs: -1 });
    expect(rounds).toBe(1);
  });
});

describe("the page of a measurement", () => {
  const costs = [
    { subject: "fetch", us: 50, overFetch: 1, overKy: 0.5, bytes: 20_000 },
    { subject: "ky", us: 100, overFetch: 2, overKy: 1, bytes: 40_000 },
    { subject: "run, webStorage", us: 260.4, overFetch: 5.2, overKy: 2.6, bytes: 123_456 },
  ] satisfies Measurement["costs"];
  const page = (isLoaded: boolean): string =>
    pageOf([{ runtime: "Chromium 147.0", rounds: 3, costs }], PLAN, "commit `abc`", isLoaded);

  it("names command, commit and runtime, and each subject with its ratios", () => {
    const text = page(false);
    expect(text).toContain("Made by `npx -y pnpm@12 bench:client`");
    expect(text).toContain("commit `abc`");
    expect(text).toContain("## Chromium 147.0");
    expect(text).toContain("| `run, webStorage` | 260 | 5.20 | 2.60 | 160 | 123.5 |");
    expect(text).toContain("Medians of 3 rounds");
    expect(text).not.toContain("loaded");
  });

  it("has a note if the machine was loaded", () => {
    expect(page(true)).toContain("Measured on a loaded machine");
  });
});
