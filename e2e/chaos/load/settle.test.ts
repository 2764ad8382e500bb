import { expect, test } from "vitest";
import type { HistoryEvent } from "../history/event.ts";
import type { Policy } from "../checker/case.ts";
import { createHistory } from "../history/history.ts";
import { settle, stillAsked } from "./settle.ts";

const RETENTION_MS = 2_000;
const NOW_MS = 5_000;
const policyOf = (): Policy => ({
  strategy: "advisory",
  mismatch: "replay",
  retentionMs: RETENTION_MS,
});

const ticket = { operation: "op1", scope: "ada", key: "k1", target: "POST /orders" };
const now = told({ ...ticket, key: "k9", atMs: NOW_MS });

test("a final answer of our client is not repeated, except by a stranger with the same key", () => {
  const asked = [
    { scope: "ada", key: "k1", path: "/orders" },
    { scope: "bob", key: "k1", path: "/orders" },
    { scope: "ada", key: "k2", path: "/orders" },
    { scope: "ada", key: undefined, path: "/orders" },
  ];
  expect(stillAsked(asked, [told({ ...ticket, atMs: 1 })], policyOf)).toEqual(asked.slice(1));
});

test("what was answered longer ago than its record lives is asked for no more", () => {
  const over = { scope: "ada", key: "k1", path: "/orders" };
  const stands = { ...over, key: "k2" };
  const events = [
    ...attempt(1, "k1", NOW_MS - RETENTION_MS - 1),
    ...attempt(2, "k2", NOW_MS - RETENTION_MS),
    now,
  ];
  expect(stillAsked([over, stands], events, policyOf)).toEqual([stands]);
});

test("what was answered once and left open by its last attempt is asked for again", () => {
  const open = { scope: "ada", key: "k1", path: "/orders" };
  const events = [...attempt(1, "k1", 1), ...attempt(2, "k1", 2).slice(0, 1), now];
  expect(stillAsked([open], events, policyOf)).toEqual([open]);
});

test("keys without a final answer at the time limit are returned, and the wait ends", async () => {
  const order = { deed: "charge", amount: 1, workMs: 0 } as const;
  const rest = { operation: "op1", scope: "ada", path: "/orders", search: "", order };
  const keys = ["k1", "k2"].map((key) => ({ ...rest, key }));
  const wayOf = () => Promise.reject(new Error("no server is there"));
  const parts = { history: createHistory(), policyOf, wayOf };
  const hour = 3_600_000;
  expect(await settle(parts, keys, hour, AbortSignal.timeout(10))).toEqual(keys);
  expect(await settle(parts, keys, hour, AbortSignal.abort())).toEqual(keys);
  // Their own time was up.
  expect(await settle(parts, keys, 0, AbortSignal.timeout(hour))).toEqual([]);
});

function told(of: typeof ticket & { readonly atMs: number }): HistoryEvent {
  return { kind: "result", fingerprint: "f1", outcome: "rejected", wallAt: 1, ...of };
}

function attempt(number: number, key: string, atMs: number): HistoryEvent[] {
  const at = { attempt: number, atMs, wallAt: 1 };
  return [
    { kind: "invoke", process: "p", server: "A", fingerprint: "f1", ...ticket, key, ...at },
    {
      kind: "ok",
      status: 201,
      isReplayed: false,
      isMismatch: false,
      headers: "",
      body: "",
      ...at,
    },
  ];
}
