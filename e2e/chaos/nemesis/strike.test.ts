import { expect, test } from "vitest";
import { createRandom } from "../rig/random.ts";
import { planStrikes } from "./strike.ts";

const TIMES = { kill: 3, pause: 1, terminate: 1, crash: 1 };

test("a whole run kills 108 times: three times at nine boundaries under four strategies", () => {
  const kills = planStrikes(createRandom(1), TIMES).filter(({ blow }) => blow === "kill");
  expect(kills).toHaveLength(108);
  const places = kills.map(({ boundary, strategy }) => `${boundary} ${strategy}`);
  expect(new Set(places).size).toBe(36);
});

test("the same seed plans the same strikes in the same order, and another seed another order", () => {
  const plan = (seed: number) => planStrikes(createRandom(seed), TIMES);
  expect(plan(7)).toEqual(plan(7));
  expect(plan(7)).not.toEqual(plan(8));
});
