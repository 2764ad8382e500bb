import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { at, effect, record, tell } from "../checker/by-hand.ts";
import type { Policy } from "../checker/case.ts";
import { judgeRun } from "./judge-run.ts";
import type { RunEvidence } from "./judge-run.ts";
import { writeLines } from "../history/history.ts";
import { readHistory, writeHistory } from "./keep.ts";

const POLICY: Policy = { strategy: "advisory", mismatch: "replay", retentionMs: 2_000 };
const inFlight = { kind: "fail", status: 409, code: "idempotency_in_flight" } as const;

const GOOD: RunEvidence = {
  events: tell(),
  rows: [effect("e1"), record()],
  leftovers: [{ where: "server A", found: { "clients checked out": 0 } }],
  policyOf: () => POLICY,
  raced: [],
  isComplete: true,
  unasked: [],
};

const BROKEN: readonly [string, Partial<RunEvidence>][] = [
  ["I7", { events: tell({ end: inFlight }), rows: [] }],
  ["I8", { leftovers: [{ where: "server A", found: { "clients checked out": 1 } }] }],
  ["I9", { raced: ["lease"] }],
  [
    "I10",
    {
      events: [
        ...tell(),
        ...tell({ attempt: 2, from: 5_000, end: { kind: "ok", isReplayed: true } }),
      ],
    },
  ],
];

test.each(BROKEN)("a kept history is judged again as it was: %s", async (invariant, evidence) => {
  const kept = { ...GOOD, ...evidence };
  const verdict = judgeRun(kept);
  expect(verdict.violations.map((one) => one.invariant)).toEqual([invariant]);
  expect(judgeRun(await again(kept))).toEqual(verdict);
});

test("a kept history of a run that was cut off is judged again as one", async () => {
  const kept: RunEvidence = {
    ...GOOD,
    events: tell({ end: inFlight }),
    rows: [],
    isComplete: false,
  };
  expect(judgeRun(kept).violations).toEqual([]);
  expect(judgeRun(await again(kept))).toEqual(judgeRun(kept));
});

test("a key that there was no time to repeat is no violation, now and when it is judged again", async () => {
  const unasked = [{ scope: "ada", key: "k1", target: "POST /orders" }];
  const later = tell({ attempt: 2, key: "k2", end: inFlight });
  const events = [...tell({ end: inFlight }), ...later];
  const kept: RunEvidence = { ...GOOD, events, rows: [], unasked };
  const { violations } = judgeRun(kept);
  expect(violations.map((one) => [one.invariant, one.at?.key])).toEqual([["I7", "k2"]]);
  expect(judgeRun(await again(kept))).toEqual(judgeRun(kept));
});

test("faults come back with a kept history: what they excuse stays excused", async () => {
  const events = [
    { kind: "fault", phase: "begin", fault: "kill A", ...at(0) } as const,
    ...tell({ from: 10, end: { kind: "info", reason: "connection reset" } }),
    ...tell({ attempt: 2, from: 30 }),
  ];
  const kept = { ...GOOD, events };
  expect(judgeRun(await again(kept))).toEqual(judgeRun(kept));
  expect(judgeRun(kept).violations).toEqual([]);
});

test("a file without the promises is refused", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oncekey-history-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "history.jsonl");
  await writeLines(file, GOOD.events);
  await expect(readHistory(file)).rejects.toThrow("does not begin with a header");
});

async function again(evidence: RunEvidence): Promise<RunEvidence> {
  const file = await writeHistory("by-hand", evidence);
  onTestFinished(() => rm(file));
  return readHistory(file);
}
