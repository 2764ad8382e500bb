import { expect, it } from "vitest";
import { watchActivity } from "../../src/operator/desk/activity.ts";
import { publish } from "../../src/telemetry/events.ts";
import type { BeginOutcomeName } from "../../src/telemetry/events.ts";

let clock = 0;
const now = (): number => clock;

function begin(keyDigest: string | undefined, outcome: BeginOutcomeName = "claimed"): void {
  const labels = { strategy: "advisory", method: "POST", route: "/orders" };
  publish("oncekey:begin", () => ({ ...labels, keyDigest, outcome, beginMs: 1, waitMs: 0 }));
}

it("counts the outcomes of the last minute, and forgets older ones", () => {
  clock = 1_000_000;
  const activity = watchActivity(now);
  begin("a");
  begin("a", "replay");
  begin(undefined, "refused");
  clock += 30_000;
  begin("b", "replay");
  expect(activity.outcomes()).toEqual([
    ["replay", 2],
    ["claimed", 1],
    ["refused", 1],
  ]);
  clock += 30_000;
  expect(activity.outcomes()).toEqual([["replay", 1]]);
  activity.stop();
  begin("c");
  expect(activity.outcomes()).toEqual([["replay", 1]]);
});

it("lists keys that were asked for more than once, over the turn of a generation", () => {
  clock = 2_000_000;
  const activity = watchActivity(now);
  for (const key of ["hot", "hot", "hot", "warm", "cold"]) begin(key);
  clock += 6 * 60_000;
  begin("warm");
  expect(activity.busyKeys(10)).toEqual([
    { keyDigest: "hot", route: "POST /orders", requests: 3 },
    { keyDigest: "warm", route: "POST /orders", requests: 2 },
  ]);
  expect(activity.story("warm").map(({ at }) => at)).toEqual([2_000_000, 2_360_000]);
  clock += 20 * 60_000;
  begin("new");
  expect(activity.busyKeys(10)).toEqual([]);
  activity.stop();
});

it("stays bounded with many keys and many requests of one", () => {
  clock = 3_000_000;
  const activity = watchActivity(now);
  for (let sent = 0; sent < 100; sent += 1) begin("hot");
  for (let key = 0; key < 10_000; key += 1) begin(`key-${key}`);
  expect(activity.busyKeys(10)).toMatchObject([{ keyDigest: "hot", requests: 100 }]);
  expect(activity.story("hot")).toHaveLength(20);
  activity.stop();
});
