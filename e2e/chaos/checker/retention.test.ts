import { describe, expect, test } from "vitest";
import { bodyOf, broken, effect, judged, record, tell } from "./by-hand.ts";

const policy = { retentionMs: 2_000, fenceMs: 10_000 } as const;

function gone(originalStatus: number) {
  const code = "idempotency_response_not_stored";
  return { kind: "fail", status: 410, code, originalStatus } as const;
}

function repeated(from: number, originalStatus = 201) {
  return [...tell(), ...tell({ attempt: 2, from, end: gone(originalStatus) })];
}

describe("I10: a repeat between retention and fence", () => {
  test("gets 410 with the status of the first answer, and is at its end", () => {
    expect(broken({ events: repeated(2_500), policy })).toEqual([]);
    expect(judged({ events: repeated(2_500), policy }).tombstones).toBe(1);
    expect(broken({ events: repeated(2_500, 404), policy })).toEqual(["I10"]);
  });

  test("gets no 410 before the response has expired", () => {
    expect(broken({ events: repeated(1_500), policy })).toEqual(["I10"]);
  });

  test("gets no 410 from a route whose key lives as long as its response", () => {
    expect(broken({ events: repeated(2_500), policy: { retentionMs: 2_000 } })).toEqual(["I7"]);
  });

  test("may name the status of a lost answer", () => {
    const lost = tell({ end: { kind: "info", reason: "reset" } });
    const named = (status: number) =>
      broken({
        events: [...lost, ...tell({ attempt: 2, from: 2_500, end: gone(status) })],
        isComplete: false,
        policy,
      });
    expect(named(201)).not.toContain("I10");
    expect(named(402)).toContain("I10");
  });

  test("does not run the handler again, with an effect or without", () => {
    const again = tell({ attempt: 2, from: 2_990, end: { kind: "ok", body: bodyOf("e2") } });
    const rows = [effect("e1"), effect("e2", { wallAt: 1_003_000 }), record()];
    expect(broken({ events: [...tell(), ...again], rows, policy })).toEqual(["I1", "I10"]);
    const declined = { kind: "ok", status: 402, body: bodyOf(null) } as const;
    const twice = [...tell({ end: declined }), ...tell({ attempt: 2, from: 2_990, end: declined })];
    expect(broken({ events: twice, rows: [], policy })).toEqual(["I10"]);
    const later = tell({ attempt: 2, from: 10_500, end: declined });
    expect(broken({ events: [...tell({ end: declined }), ...later], rows: [], policy })).toEqual(
      [],
    );
  });
});

test("I2: a client's `done` after the 410 of a failure with status 200 has no effect", () => {
  const ticket = { scope: "ada", key: "k1", target: "POST /orders", operation: "op1" };
  const at = { atMs: 3_000, wallAt: 1_003_000 };
  const done = { kind: "result", fingerprint: "f1", outcome: "done", ...ticket, ...at } as const;
  const lost = tell({ end: { kind: "info", reason: "reset" } });
  const told = (status: number) => [
    ...lost,
    ...tell({ attempt: 2, from: 2_500, end: gone(status) }),
    done,
  ];
  expect(broken({ events: told(200), rows: [], policy, isComplete: false })).not.toContain("I2");
  expect(broken({ events: told(201), rows: [], policy, isComplete: false })).toContain("I2");
});
