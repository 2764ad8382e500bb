import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "vitest";
import { createHistory } from "../history/history.ts";
import { watchStalls } from "./stalls.ts";

test("a stall of more than a second is a fault in the history", async () => {
  const history = createHistory();
  const stalls = watchStalls(history);
  await sleep(1);
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_500);
  await expect.poll(() => stalls.count()).toBeGreaterThan(0);
  stalls.stop();
  const phases = history.events.map((event) => (event.kind === "fault" ? event.phase : event.kind));
  expect(phases.slice(0, 2)).toEqual(["begin", "end"]);
});
