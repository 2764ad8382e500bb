import { expect, test } from "vitest";
import { findShort } from "./reached.ts";

const NONE = {
  poolerRestarts: 0,
  poolsTaken: 0,
  databasesFilled: 0,
  poolsEnded: 0,
  tablesWrapped: 0,
};
const plan = { operations: 1_000, disturbances: { ...NONE, commitFaults: 10 } };
const half = {
  operations: 500,
  plannedStrikes: 8,
  dealt: { kill: 2, pause: 1, terminate: 1, crash: 0 },
  caused: { "drop-request": 5, "drop-answer": 5, delay: 5, "half-open": 5, "pool taken": 99 },
};

test("half of each part of a plan is enough", () => {
  expect(findShort(half, plan)).toEqual([]);
});

test("less than half of any part is too little, and is named", () => {
  expect(findShort({ ...half, operations: 499 }, plan)).toEqual(["499 of 1000 operations"]);
  const dealt = { ...half.dealt, kill: 1 };
  expect(findShort({ ...half, dealt }, plan)).toEqual(["3 of 8 strikes"]);
  const caused = { ...half.caused, delay: 4 };
  expect(findShort({ ...half, caused }, plan)).toEqual(["19 of 40 broken COMMITs"]);
});
