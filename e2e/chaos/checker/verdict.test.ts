import { expect, test } from "vitest";
import { bodyOf, effect, judged, record, tell } from "./by-hand.ts";
import { shortest } from "./shrink.ts";
import { formatVerdict } from "./verdict.ts";

const noise = Array.from({ length: 6 }, (_, index) =>
  tell({ attempt: 10 + index, from: 100 * index, end: { kind: "info", reason: "reset" } }),
).flat();
const bad = [
  ...tell(),
  ...noise,
  ...tell({ attempt: 2, from: 900, end: { kind: "ok", isReplayed: true, body: bodyOf("e9") } }),
];

test("a long history shrinks to the attempts without which nothing would be wrong", () => {
  const { violations } = judged({ events: bad, isComplete: false });
  const i3 = violations.filter(({ invariant }) => invariant === "I3");
  const attempts = shortest(i3)?.at?.attempts.map(({ invoke }) => invoke.attempt);
  expect(attempts).toEqual([1, 2]);
});

test("of several broken keys the one with the shortest history is shown", () => {
  const other = tell({ attempt: 3, key: "k2", from: 5 });
  const { violations } = judged({ events: [...bad, ...other], isComplete: false });
  expect(shortest(violations)?.at?.key).toBe("k2");
});

test("a person reads the verdict in ten lines", () => {
  const text = formatVerdict(judged({ events: bad, isComplete: false }));
  expect(text.split("\n").length).toBeLessThanOrEqual(10);
  expect(text).toContain("VIOLATIONS");
  expect(text).toContain("key k1 of ada on POST /orders (advisory)");
  const good = formatVerdict(judged({ events: tell(), rows: [effect("e1"), record()] }));
  expect(good).toMatch(/^No violation\./);
});
