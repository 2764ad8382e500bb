import { expect, it } from "vitest";
import { checkKey } from "../../src/testing/checker.ts";
import type { SeenKey } from "../../src/testing/checker.ts";
import type { Effect } from "../../src/testing/effects.ts";

const made = { status: 201, headers: "application/json", body: "{}", isReplayed: false };
const replayed = { ...made, isReplayed: true };
const right: SeenKey = {
  answers: [made, replayed, replayed],
  other: replayed,
  effects: [changed("orders", 1)],
};

function changed(name: string, change: number, expected = 1): Effect {
  return { name, change, expected };
}

it("finds nothing wrong where one effect has one answer, and another request that answer or a refusal", () => {
  expect(checkKey(right)).toEqual([]);
  // A route may leave out a header of its handler's from what it stores.
  const live = { ...made, headers: "application/json /orders/1" };
  expect(checkKey({ ...right, answers: [live, replayed] })).toEqual([]);
  const refused = { status: 422, headers: "application/problem+json", body: "", isReplayed: false };
  expect(checkKey({ ...right, other: refused })).toEqual([]);
});

it("takes a part of the effect for right only behind a refusal", () => {
  const failed = { ...replayed, status: 500 };
  const half = [changed("charges", 1), changed("orders", 0)];
  expect(checkKey({ answers: [failed], other: failed, effects: half })).toEqual([]);
  expect(checkKey({ ...right, effects: half })).toHaveLength(1);
});

it.each<[string, Partial<SeenKey>, string]>([
  ["no effect at all", { effects: [] }, "nothing changed behind a 201"],
  [
    "a lost effect",
    { effects: [changed("orders", 0)] },
    "0 effects behind a 201: orders by 0 instead of 1",
  ],
  [
    "a second effect",
    { effects: [changed("orders", 1), changed("ledger", 4, 2)] },
    "2 effects behind a 201: ledger by 4 instead of 2",
  ],
  [
    "a balance that was changed twice",
    { effects: [changed("sum of accounts.balance", -20, -10)] },
    "2 effects behind a 201: sum of accounts.balance by -20 instead of -10",
  ],
  [
    "rows of a table that a run without a crash leaves alone",
    { effects: [changed("orders", 1), changed("audit", 1, 0)] },
    "1 effects behind a 201: audit by 1 instead of 0",
  ],
  [
    "two effects behind a refusal",
    {
      answers: [{ ...made, status: 402 }],
      other: { ...replayed, status: 402 },
      effects: [changed("orders", 2)],
    },
    "2 effects behind a 402: orders by 2 instead of 1",
  ],
  ["another body", { answers: [made, { ...replayed, body: "[]" }] }, "2 answers: 201 {} | 201 []"],
  [
    "replays with different headers",
    { answers: [made, replayed, { ...replayed, headers: "text/plain" }] },
    "2 answers: 201 application/json {} | 201 text/plain {}",
  ],
  ["a handler that ran again", { answers: [made, made] }, "2 answers are no replays"],
  [
    "another request that ran",
    { other: { ...made, body: "[]" } },
    "another request under the key was answered with 201 application/json []",
  ],
  [
    "another request that ran, and had the same answer",
    { other: made },
    "another request under the key was answered with 201 application/json {}",
  ],
])("says what is broken: %s", (_what, wrong, sentence) => {
  expect(checkKey({ ...right, ...wrong })).toEqual([sentence]);
});
