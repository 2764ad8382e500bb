import { expect, it } from "vitest";
import { checkKey } from "../../src/testing/checker.ts";
import type { SeenKey } from "../../src/testing/checker.ts";

const made = { status: 201, headers: "application/json", body: "{}", isReplayed: false };
const replayed = { ...made, isReplayed: true };
const right: SeenKey = { answers: [made, replayed, replayed], other: replayed, effects: 1 };

it("finds nothing wrong where one effect has one answer, and another request that answer or a refusal", () => {
  expect(checkKey(right)).toEqual([]);
  // A route may leave out a header of its handler's from what it stores.
  const live = { ...made, headers: "application/json /orders/1" };
  expect(checkKey({ ...right, answers: [live, replayed] })).toEqual([]);
  const refused = { status: 422, headers: "application/problem+json", body: "", isReplayed: false };
  expect(checkKey({ ...right, other: refused })).toEqual([]);
});

it.each<[string, Partial<SeenKey>, string]>([
  ["a lost effect", { effects: 0 }, "0 effects behind a 201"],
  ["a second effect", { effects: 2 }, "2 effects behind a 201"],
  [
    "two effects behind a refusal",
    { answers: [{ ...made, status: 402 }], other: { ...replayed, status: 402 }, effects: 2 },
    "2 effects behind a 402",
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
])("says what is broken: %s", (_what, wrong, sentence) => {
  expect(checkKey({ ...right, ...wrong })).toEqual([sentence]);
});
