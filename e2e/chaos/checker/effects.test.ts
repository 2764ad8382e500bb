import { expect, test } from "vitest";
import { bodyOf, broken, effect, record, tell, at } from "./by-hand.ts";

test("one request, one effect, one record: nothing is wrong", () => {
  expect(broken({ events: tell() })).toEqual([]);
});

test("I1: a second effect under one key is found, whatever the clients saw", () => {
  const rows = [effect("e1"), effect("e2", { wallAt: 1_000_900 }), record()];
  expect(broken({ events: tell(), rows })).toEqual(["I1"]);
});

test("I1: after its retention, and after a deletion on purpose, a key may take effect again", () => {
  const second = bodyOf("e2");
  const rows = [effect("e1"), effect("e2", { wallAt: 1_003_000 }), record({ body: second })];
  const later = tell({ attempt: 2, from: 2_990, end: { kind: "ok", body: second } });
  const events = [...tell(), ...later];
  expect(broken({ events, rows, policy: { retentionMs: 2_000 } })).toEqual([]);
  const ticket = { scope: "ada", key: "k1", target: "POST /orders", server: "A" };
  const forget = { kind: "forget" as const, phase: "asked" as const, ...ticket, ...at(1_000) };
  expect(broken({ events: [...tell(), forget, ...later], rows })).toEqual([]);
  expect(broken({ events, rows })).toContain("I1");
});

test("I1: a deletion excuses the effects that follow it", () => {
  const ticket = { scope: "ada", key: "k1", target: "POST /orders", server: "A" };
  const forget = { kind: "forget" as const, phase: "asked" as const, ...ticket, ...at(5_000) };
  const rows = [effect("e1"), effect("e2", { wallAt: 1_000_006 })];
  expect(broken({ events: [...tell(), forget], rows })).toContain("I1");
});

test("I1: a lease whose records expire soon is excused where something was struck, and nowhere else", () => {
  const policy = { strategy: "lease", onCrash: "fail", retentionMs: 2_000 } as const;
  const rows = [effect("e1"), effect("e2", { wallAt: 1_000_006 })];
  const fault = { kind: "fault", phase: "begin", fault: "pause A", ...at(0) } as const;
  expect(broken({ events: tell(), rows, policy })).toEqual(["I1"]);
  expect(broken({ events: [fault, ...tell()], rows, policy })).toEqual([]);
});

test("I1: a route that may run again passes one key on, in all its runs", () => {
  const policy = { strategy: "lease", onCrash: "rerun", leaseMs: 2_000 } as const;
  const rows = (second: string, wallAt = 1_000_005) => [
    effect("e1", { downstream: "d1" }),
    effect("e2", { downstream: second, wallAt }),
    record(),
  ];
  const lost = tell({ attempt: 2, end: { kind: "fail", status: 502 } });
  const events = [...lost, ...tell({ from: 20 })];
  expect(broken({ events, rows: rows("d1"), policy })).toEqual([]);
  expect(broken({ events, rows: rows("d2"), policy })).toEqual(["I1"]);
  // Every attempt has its answer: there is no reason to run again.
  expect(broken({ events: tell(), rows: rows("d1"), policy })).toEqual(["I1"]);
  // An owner that was suspended for so long has lost its lease, and its caller gets the stored
  // answer.
  expect(broken({ events: tell(), rows: rows("d1", 1_002_010), policy })).toEqual([]);
});

test("I1: a client that mints a key for each attempt is found by what it meant to do", () => {
  const rows = [
    effect("e1"),
    record(),
    effect("e2", { key: "k2" }),
    record({ key: "k2", body: bodyOf("e2") }),
  ];
  const again = tell({ attempt: 2, key: "k2", end: { kind: "ok", body: bodyOf("e2") } });
  expect(broken({ events: [...tell(), ...again], rows })).toEqual(["I1"]);
});

test("I2: a success whose effect is not in the database is a loss", () => {
  expect(broken({ events: tell(), rows: [record()] })).toEqual(["I2"]);
});

test("I2: an effect behind an answer that denies it is found", () => {
  const end = { kind: "ok", status: 402, body: bodyOf("e1") } as const;
  const rows = [effect("e1"), record({ status: 402 })];
  expect(broken({ events: tell({ end }), rows })).toContain("I2");
});

test("I2: in one commit, effect and record are both there or neither is", () => {
  const events = tell({ end: { kind: "info", reason: "no answer" } });
  const quiet = { events, isComplete: false };
  expect(broken({ ...quiet, rows: [effect("e1")] })).toContain("I2");
  expect(broken({ ...quiet, rows: [record()] })).toContain("I2");
  expect(broken({ ...quiet, rows: [] })).not.toContain("I2");
  const policy = { strategy: "lease", onCrash: "fail" } as const;
  expect(broken({ ...quiet, rows: [effect("e1")], policy })).not.toContain("I2");
});

test("I2: what a client concludes from its attempts is what the database holds", () => {
  const ticket = { scope: "ada", key: "k1", target: "POST /orders", operation: "op1" };
  const result = (outcome: "done" | "rejected" | "unknown") => ({
    kind: "result" as const,
    fingerprint: "f1",
    outcome,
    ...ticket,
    ...at(20),
  });
  expect(broken({ events: [...tell(), result("done")] })).toEqual([]);
  const lost = tell({ attempt: 2, end: { kind: "fail", status: 500 } });
  expect(broken({ events: [...lost, ...tell({ from: 15 }), result("unknown")] })).toEqual([]);
  expect(broken({ events: [...tell(), result("unknown")] })).toEqual(["I2"]);
  const rejected = [...tell(), result("rejected")];
  expect(broken({ events: rejected })).toEqual(["I2"]);
  expect(broken({ events: rejected, policy: { retentionMs: 2_000 } })).toEqual([]);
});

test("I2: a failure with status 200 has no effect, and its client's `done` is none", () => {
  const body = bodyOf("e1").replace("}", ',"errors":["the resolver failed"]}');
  const events = tell({ end: { kind: "ok", status: 200, body } });
  const masked = record({ status: 200, body });
  expect(broken({ events, rows: [masked] })).toEqual([]);
  expect(broken({ events, rows: [effect("e1"), masked] })).toEqual(["I2"]);
});
