import { expect, test } from "vitest";
import type { HistoryEvent } from "../history/event.ts";
import { stillAsked } from "./settle.ts";

test("what our client was told is final is asked for no more, but for a stranger with the same key", () => {
  const told: HistoryEvent = {
    kind: "result",
    operation: "op1",
    scope: "ada",
    key: "k1",
    target: "POST /orders",
    fingerprint: "f1",
    outcome: "rejected",
    atMs: 1,
    wallAt: 1,
  };
  const asked = [
    { scope: "ada", key: "k1" },
    { scope: "bob", key: "k1" },
    { scope: "ada", key: "k2" },
    { scope: "ada", key: undefined },
  ];
  expect(stillAsked(asked, [told])).toEqual(asked.slice(1));
});
