import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { byDepth } from "@oncekey/test-support/lanes/depth";
import type { Heartbeat, HeartbeatOptions } from "../../src/store/claims/heartbeat.ts";
import type { StoredRecord } from "../../src/store/store.ts";
import { scopelessCache, scopelessFlights, slowCache, staleFlights, withoutScope } from "./bugs.ts";
import { aftermath, history } from "./histories.ts";
import { withVirtualTime } from "./virtual-time.ts";
import { play } from "./world.ts";

const planted = vi.hoisted(() => ({ bug: "none" }));

vi.mock("node:timers/promises", () => ({
  setTimeout: (ms: number) => new Promise((resolve) => void globalThis.setTimeout(resolve, ms)),
}));
vi.mock("../../src/store/claims/heartbeat.ts", async (load) => {
  const real = await load<typeof import("../../src/store/claims/heartbeat.ts")>();
  return {
    startHeartbeat(options: HeartbeatOptions): Heartbeat {
      if (planted.bug === "silent") return { stop() {} };
      const heartbeat = real.startHeartbeat(options);
      return planted.bug === "endless" ? { stop() {} } : heartbeat;
    },
  };
});
vi.mock("../../src/layers/single-flight.ts", async (load) => {
  const real = await load<typeof import("../../src/layers/single-flight.ts")>();
  const create: typeof real.createSingleFlight = (store, onRecord) => {
    if (planted.bug === "shared flights")
      return scopelessFlights(real.createSingleFlight, store, onRecord);
    if (planted.bug === "stale flights")
      return staleFlights(real.createSingleFlight, store, onRecord);
    const flights = real.createSingleFlight(store, onRecord);
    return planted.bug === "untold flights" ? { ...flights, forget() {} } : flights;
  };
  return { ...real, createSingleFlight: create };
});
vi.mock("../../src/layers/replay-cache.ts", async (load) => {
  const real = await load<typeof import("../../src/layers/replay-cache.ts")>();
  const create: typeof real.createReplayCache = (options) => {
    const cache = real.createReplayCache(options);
    if (planted.bug === "shared cache") return scopelessCache(cache);
    if (planted.bug === "slow cache") return slowCache(cache);
    return planted.bug === "untold cache" ? { ...cache, forget() {} } : cache;
  };
  return { ...real, createReplayCache: create };
});
vi.mock("../../src/store/record.ts", async (load) => {
  const real = await load<typeof import("../../src/store/record.ts")>();
  const readRecord: typeof real.readRecord = (row, askedAt): StoredRecord =>
    real.readRecord(row, planted.bug === "late" ? performance.now() : askedAt);
  const recordValues: typeof real.recordValues = (ticket, mark, response, retention) => {
    const { retentionMs, fenceMs } = retention;
    const shortened = { retentionMs: retentionMs / 2, fenceMs: fenceMs / 2 };
    const kept = planted.bug === "short" ? shortened : retention;
    return real.recordValues(ticket, mark, response, kept);
  };
  return { ...real, readRecord, recordValues };
});
vi.mock("../../src/ticket/derive-key.ts", async (load) => {
  const real = await load<typeof import("../../src/ticket/derive-key.ts")>();
  const deriveKey: typeof real.deriveKey = (ticket, name) =>
    real.deriveKey(planted.bug === "shared keys" ? withoutScope(ticket) : ticket, name);
  return { deriveKey };
});
vi.mock("../../src/request/resolve-crash.ts", async (load) => {
  const real = await load<typeof import("../../src/request/resolve-crash.ts")>();
  const resolveCrash: typeof real.resolveCrash = async (claim, ...others) =>
    planted.bug === "rerun" ? { kind: "claimed", claim } : real.resolveCrash(claim, ...others);
  return { ...real, resolveCrash };
});
vi.mock("./statements.ts", async (load) => {
  const real = await load<typeof import("./statements.ts")>();
  const beginStatement: typeof real.beginStatement = (text, database, ...others) => {
    const isEarly = planted.bug === "early sweep" && text === real.STATEMENTS.sweep;
    const now = (): number => database.now() + 60_000;
    return real.beginStatement(text, isEarly ? { ...database, now } : database, ...others);
  };
  return { ...real, beginStatement };
});

// Leases that nothing else disturbs: there each of these bugs shows in one history of some dozens.
const calmLease = history.map((one) => ({
  ...one,
  rules: { ...one.rules, strategy: "lease" as const },
  events: [],
  faults: [],
}));
// Requests that arrive while the database's answer is on its way and its record is about to expire.
const whileItEnds = aftermath.map((one) => ({
  ...one,
  rules: { ...one.rules, retentionMs: 8_000, fenceMs: 8_000, inFlight: "wait" as const },
  asked: one.asked.map((asked, at) => (at === 0 ? asked : { ...asked, process: 0 })),
  events: [{ kind: "pass" as const, ms: 6_000, afterMs: 6_000 }],
}));
// Each shows in one of some dozens or hundreds; in a run of the simulation one history in five is an aftermath.
const RUNS = 10_000;
const SEED = Number(process.env["ONCEKEY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** Each bug has to be caught from every one of so many seeds. */
const SEEDS = byDepth(1, 8);
const RUN_LIMIT_MS = 50;

afterEach(() => {
  planted.bug = "none";
});

test.each([
  ["endless", "a heartbeat that outlives its claim", calmLease],
  ["silent", "a lease that nobody renews while its handler runs", calmLease],
  ["shared flights", "single flight ignores the scope", history],
  ["shared cache", "the replay cache ignores the scope", history],
  ["shared keys", "keys to pass on are made without the scope", history],
  ["late", "a lifetime counts from when its answer was read", whileItEnds],
  ["stale flights", "single flight hands on what is over", whileItEnds],
  ["short", "a record is stored for half as long as declared", history],
  ["early sweep", "the sweep deletes a minute early", history],
  ["rerun", "a crashed handler runs again whatever is declared", history],
  ["untold cache", "forget leaves the replay cache alone", aftermath],
  ["untold flights", "forget leaves single flight alone", aftermath],
  ["slow cache", "the replay cache keeps for two minutes", aftermath],
])(
  "the planted bug is caught: %s, %s",
  async (bug, _what, histories) => {
    planted.bug = bug;
    for (let seed = SEED; seed < SEED + SEEDS; seed += 1) {
      const wrong = new Set<string>();
      const property = fc.asyncProperty(fc.scheduler(), histories, (scheduler, one) =>
        withVirtualTime(one.chances, async (time) => {
          const found = await play(one, scheduler, time);
          if (found !== undefined) wrong.add(found);
          return found === undefined;
        }),
      );
      const options = { numRuns: RUNS, seed, endOnFailure: true };
      const { failed, numRuns } = await fc.check(property, options);
      console.log(`${bug}: ${[...wrong].join("; ")} (history ${numRuns}, ONCEKEY_SEED=${seed})`);
      expect(failed).toBe(true);
    }
  },
  Math.max(600_000, RUNS * RUN_LIMIT_MS),
);
