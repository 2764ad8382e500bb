import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import type { Heartbeat, HeartbeatOptions } from "../../src/store/heartbeat.ts";
import { history } from "./histories.ts";
import { withVirtualTime } from "./virtual-time.ts";
import { play } from "./world.ts";

const planted = vi.hoisted(() => ({ bug: "none" as "none" | "endless" | "silent" }));

vi.mock("node:timers/promises", () => ({
  setTimeout: (ms: number) => new Promise((resolve) => void globalThis.setTimeout(resolve, ms)),
}));
vi.mock("../../src/store/heartbeat.ts", async (load) => {
  const real = await load<typeof import("../../src/store/heartbeat.ts")>();
  return {
    startHeartbeat(options: HeartbeatOptions): Heartbeat {
      if (planted.bug === "silent") return { stop() {} };
      const heartbeat = real.startHeartbeat(options);
      return planted.bug === "endless" ? { stop() {} } : heartbeat;
    },
  };
});

// Of leases that nothing else disturbs: there each bug shows in one history of some dozens.
const calmLease = history.map((one) => ({
  ...one,
  rules: { ...one.rules, strategy: "lease" as const },
  events: [],
  faults: [],
}));
const RUNS = 2_000;
const SEED = Number(process.env["ONCEKEY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

afterEach(() => {
  planted.bug = "none";
});

test.each([
  ["endless", "a heartbeat that outlives its claim"],
  ["silent", "a lease that nobody renews while its handler runs"],
] as const)("the planted bug is caught: %s, %s", async (bug, _what) => {
  planted.bug = bug;
  const wrong = new Set<string>();
  const property = fc.asyncProperty(fc.scheduler(), calmLease, (scheduler, one) =>
    withVirtualTime(async (time) => {
      const found = await play(one, scheduler, time);
      if (found !== undefined) wrong.add(found);
      return found === undefined;
    }),
  );
  const { failed, numRuns } = await fc.check(property, {
    numRuns: RUNS,
    seed: SEED,
    endOnFailure: true,
  });
  console.log(`${bug}: ${[...wrong].join("; ")} (history ${numRuns}, ONCEKEY_SEED=${SEED})`);
  expect(failed).toBe(true);
});
