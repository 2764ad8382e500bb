import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { at, effect, record, tell } from "../checker/by-hand.ts";
import type { Policy } from "../checker/case.ts";
import { judge } from "../checker/judge.ts";
import type { Evidence } from "../checker/judge.ts";
import { writeLines } from "./history.ts";
import { readHistory, writeHistory } from "./keep.ts";

const POLICY: Policy = { strategy: "advisory", mismatch: "replay", retentionMs: 2_000 };
const inFlight = { kind: "fail", status: 409, code: "idempotency_in_flight" } as const;

const GOOD: Evidence = {
  events: tell(),
  rows: [effect("e1"), record()],
  leftovers: [{ where: "server A", found: { "clients checked out": 0 } }],
  policyOf: () => POLICY,
  raced: [],
  isComplete: true,
};

const BROKEN: readonly [string, Partial<Evidence>][] = [
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
  const verdict = judge(kept);
  expect(verdict.violations.map((one) => one.invariant)).toEqual([invariant]);
  expect(judge(await again(kept))).toEqual(verdict);
});

test("a kept history of a run that was cut off is judged again as one", async () => {
  const kept: Evidence = { ...GOOD, events: tell({ end: inFlight }), rows: [], isComplete: false };
  expect(judge(kept).violations).toEqual([]);
  expect(judge(await again(kept))).toEqual(judge(kept));
});

test("faults come back with a kept history: what they excuse stays excused", async () => {
  const events = [
    { kind: "fault", phase: "begin", fault: "kill A", ...at(0) } as const,
    ...tell({ from: 10, end: { kind: "info", reason: "connection reset" } }),
    ...tell({ attempt: 2, from: 30 }),
  ];
  const kept = { ...GOOD, events };
  expect(judge(await again(kept))).toEqual(judge(kept));
  expect(judge(kept).violations).toEqual([]);
});

test("a file that does not say what was promised is refused", async () => {
  const folder = await mkdtemp(join(tmpdir(), "oncekey-history-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "history.jsonl");
  await writeLines(file, GOOD.events);
  await expect(readHistory(file)).rejects.toThrow("does not begin with a header");
});

async function again(evidence: Evidence): Promise<Evidence> {
  const file = await writeHistory("by-hand", evidence);
  onTestFinished(() => rm(file));
  return readHistory(file);
}
