import { expect, test } from "vitest";
import { broken, effect, judged, record, tell } from "../checker/by-hand.ts";
import type { RunEvidence } from "../one-run/judge-run.ts";
import type { Phase, PhaseResult } from "./phase.ts";
import { policyOf } from "./routes.ts";
import { countBroken, formatTable, isAsPromised } from "./report.ts";

type ByHand = Parameters<typeof judged>[0];

const EVIDENCE: RunEvidence = {
  events: [],
  rows: [],
  leftovers: [],
  policyOf,
  raced: [],
  isComplete: true,
  unasked: [],
};

/** One answered key and two strikes, what is not given as if all had gone well. */
function result(evidence: ByHand = {}, phase: Partial<Phase> = {}): PhaseResult {
  const asked = {
    title: "by hand",
    replication: "synchronous",
    strike: "kill",
    strikes: 2,
  } as const;
  return {
    phase: { ...asked, ...phase },
    outagesMs: [4_000, 9_500],
    verdict: judged({ events: tell(), ...evidence }),
    brokeOff: undefined,
    evidence: EVIDENCE,
  };
}

/** The effect is gone, and the repeat of the key had another one. */
const LOST: ByHand = { rows: [effect("e2"), record({ body: "another" })] };
const DOUBLED: ByHand = { rows: [effect("e1"), effect("e2"), record()] };

test("a synchronous failover is as promised where no promise is broken, and where all strikes were made and all keys asked for", () => {
  expect(isAsPromised(result())).toBe(true);
  expect(isAsPromised(result({}, { strikes: 3 }))).toBe(false);
  const unasked = [{ scope: "ada", key: "k1", target: "POST /row" }];
  expect(isAsPromised({ ...result(), evidence: { ...EVIDENCE, unasked } })).toBe(false);
  expect(isAsPromised(result(LOST))).toBe(false);
  expect(isAsPromised(result(DOUBLED))).toBe(false);
});

test("an asynchronous control is as promised only where the checker reports a loss and nothing was done twice", () => {
  const asynchronous = { replication: "asynchronous" } as const;
  expect(isAsPromised(result(LOST, asynchronous))).toBe(true);
  expect(isAsPromised(result({}, asynchronous))).toBe(false);
  const both: ByHand = { rows: [effect("e2"), effect("e3"), record()] };
  expect(broken({ events: tell(), ...both })).toContain("I2");
  expect(isAsPromised(result(both, asynchronous))).toBe(false);
});

test("keys are counted once by the promise that was broken to them", () => {
  const events = [...tell(), ...tell({ attempt: 2, from: 20 })];
  const { violations } = judged({ events, ...LOST });
  expect(violations.filter(({ invariant }) => invariant === "I2")).toHaveLength(2);
  expect(countBroken(violations)).toMatchObject({ lost: 1, doubled: 0, divergent: 1 });
});

test("the table has a row for each part of the run, with the median and the longest outage", () => {
  expect(formatTable([result()]).split("\n").at(-1)).toBe(
    "| by hand | 2 | 1 | 1 | 0 | 0 | 0 | 9.5 s, 9.5 s |",
  );
  expect(formatTable([{ ...result(), outagesMs: [] }])).toContain("| none |");
});
