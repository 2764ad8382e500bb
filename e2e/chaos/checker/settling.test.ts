import { expect, test } from "vitest";
import { at, bodyOf, broken, effect, judged, record, tell } from "./by-hand.ts";
import { formatVerdict } from "./verdict.ts";

const replay = { kind: "ok", isReplayed: true } as const;

test("I7: a key whose last attempt got no final answer has not settled", () => {
  const unsettled = tell({ end: { kind: "fail", status: 409, code: "idempotency_in_flight" } });
  expect(broken({ events: unsettled, rows: [] })).toEqual(["I7"]);
  expect(broken({ events: unsettled, rows: [], isComplete: false })).toEqual([]);
  const settled = [...unsettled, ...tell({ attempt: 2, from: 20 })];
  expect(broken({ events: settled })).toEqual([]);
});

test("I7: a refusal as another's is an end only where another is known to have the key", () => {
  const refused = { kind: "fail", status: 422, code: "idempotency_conflict" } as const;
  const policy = { mismatch: "reject" } as const;
  const alone = tell({ end: refused });
  expect(broken({ events: alone, rows: [], policy })).toEqual(["I7"]);
  const other = tell({ attempt: 2, fingerprint: "f2" });
  const rows = [effect("e1", { fingerprint: "f2" }), record()];
  expect(broken({ events: [...other, ...tell({ from: 20, end: refused })], rows, policy })).toEqual(
    [],
  );
});

test("I7: a key that its client gave up had an end that a client saw", () => {
  const ticket = { scope: "ada", key: "k1", target: "POST /orders", operation: "op1" };
  const rejected = {
    kind: "result" as const,
    outcome: "rejected" as const,
    fingerprint: "f1",
    ...ticket,
    ...at(90),
  };
  const busy = tell({ end: { kind: "fail", status: 409, code: "idempotency_in_flight" } });
  expect(broken({ events: [...busy, rejected], rows: [] })).toEqual(["I7"]);
  // Another request ran at that moment, and came to nothing afterwards.
  const policy = { strategy: "row", mismatch: "reject" } as const;
  const refused = tell({ end: { kind: "fail", status: 422, code: "idempotency_conflict" } });
  const other = tell({ attempt: 2, fingerprint: "f2", end: { kind: "fail", status: 500 } });
  expect(broken({ events: [...refused, ...other, rejected], rows: [], policy })).toEqual([]);
});

test("I7: no good request is refused for its key", () => {
  const end = { kind: "fail", status: 400, code: "idempotency_key_invalid" } as const;
  const events = [...tell({ attempt: 2, end }), ...tell({ from: 20 })];
  expect(broken({ events })).toEqual(["I7"]);
});

test("I7: when all faults have ended, no key is held for much longer than a lease", () => {
  const process = "settling";
  const busy = { kind: "fail", status: 409, code: "idempotency_in_flight" } as const;
  const asked = (untilMs: number) =>
    broken({
      events: [
        ...tell({ attempt: 2, process, end: busy }),
        ...tell({ attempt: 3, process, from: untilMs, end: busy }),
        ...tell({ process, from: untilMs + 100 }),
      ],
    });
  expect(asked(3_000)).toEqual([]);
  expect(asked(59_000)).toEqual(["I7"]);
});

test("I7: a handler that hangs by plan in quiet holds its key anew", () => {
  const process = "settling";
  const busy = { kind: "fail", status: 409, code: "idempotency_in_flight" } as const;
  const timeout = { kind: "info", reason: "timeout", isLate: true } as const;
  const asked = (fromMs: number) =>
    broken({
      events: [
        ...tell({ attempt: 2, process, hangs: true, end: busy }),
        ...tell({ attempt: 3, process, from: fromMs, hangs: true, end: timeout }),
        ...tell({ attempt: 4, process, from: 59_000, hangs: true, end: busy }),
        ...tell({ process, from: 59_100 }),
      ],
    });
  expect(asked(56_000)).toEqual([]);
  expect(asked(5_000)).toEqual(["I7"]);
});

test("I7: a fault excuses the clients of the servers that it struck, and every client that waited too long", () => {
  const struck = (server: string, isLate: boolean) => {
    const fault = { kind: "fault", fault: "kill A", servers: ["A"] } as const;
    const lost = tell({ attempt: 2, server, end: { kind: "info", reason: "reset", isLate } });
    return broken({
      events: [
        { ...fault, phase: "begin", ...at(0) },
        ...lost,
        { ...fault, phase: "end", ...at(50) },
        ...tell({ from: 20 }),
      ],
    });
  };
  expect(struck("A", false)).toEqual([]);
  expect(struck("B", true)).toEqual([]);
  expect(struck("B", false)).toEqual(["I7"]);
});

test("a late attempt without a fault is counted and reported", () => {
  const late = tell({ attempt: 2, end: { kind: "info", reason: "timeout", isLate: true } });
  const verdict = judged({ events: [...late, ...tell({ from: 20 })] });
  expect(verdict.late).toBe(1);
  expect(formatVerdict(verdict)).toContain("late without a fault: 1");
});

test("an attempt that times out because its handler hangs by plan is not counted as late", () => {
  const end = { kind: "info", reason: "timeout", isLate: true } as const;
  const late = tell({ attempt: 2, hangs: true, end });
  expect(judged({ events: [...late, ...tell({ from: 20 })] }).late).toBe(0);
});

test("I7: while no fault strikes, every attempt gets an answer", () => {
  const lost = tell({ from: 10_000, end: { kind: "info", reason: "connection reset" } });
  const events = [...lost, ...tell({ attempt: 2, from: 20_000 })];
  const fault = (phase: "begin" | "end", ms: number) => ({
    kind: "fault" as const,
    phase,
    fault: "kill A",
    ...at(ms),
  });
  expect(broken({ events })).toEqual(["I7"]);
  expect(broken({ events: [fault("begin", 9_000), fault("end", 10_001), ...events] })).toEqual([]);
  expect(broken({ events: [fault("begin", 100), fault("end", 200), ...events] })).toEqual(["I7"]);
});

test("I8: what is left behind when all is quiet is named with its place", () => {
  const leftovers = [{ where: "server A", found: { "clients checked out": 1, uncaught: 0 } }];
  expect(broken({ events: tell(), leftovers })).toEqual(["I8"]);
});

test("I10: a replay past the retention is found", () => {
  const events = (from: number) => [...tell(), ...tell({ attempt: 2, from, end: replay })];
  const policy = { retentionMs: 2_000 };
  expect(broken({ events: events(1_500), policy })).toEqual([]);
  expect(broken({ events: events(5_000), policy })).toEqual(["I10"]);
});

test("I10: if the first answer was lost, its effect dates a replay", () => {
  const lost = tell({ attempt: 2, end: { kind: "fail", status: 500 } });
  const events = (from: number) => [...lost, ...tell({ attempt: 3, from, end: replay })];
  const policy = { retentionMs: 2_000 };
  expect(broken({ events: events(1_500), policy })).toEqual([]);
  expect(broken({ events: events(60_000), policy })).toEqual(["I10"]);
});

test("I10: a replay that names no run may be of a later one", () => {
  const refusal = {
    kind: "ok",
    status: 404,
    body: '{"message":"there is no such thing"}',
  } as const;
  const again = tell({ attempt: 2, from: 5_000, end: { ...replay, ...refusal } });
  const events = [...tell({ end: refusal }), ...again];
  expect(broken({ events, rows: [], policy: { retentionMs: 2_000 } })).toEqual([]);
});

test("I10: a server that deleted a record replays it no more", () => {
  const ticket = { scope: "ada", key: "k1", target: "POST /orders" };
  const forget = {
    kind: "forget" as const,
    phase: "done" as const,
    ...ticket,
    server: "A",
    ...at(100),
  };
  const events = (server: string) => [
    ...tell(),
    forget,
    ...tell({ attempt: 2, from: 200, server, end: replay }),
  ];
  expect(broken({ events: events("A") })).toEqual(["I10"]);
  expect(broken({ events: events("B") })).toEqual([]);
});

test("I10: no record is deleted before its time", () => {
  const rows = [effect("e1"), effect("e2", { wallAt: 1_001_000 }), record({ body: bodyOf("e2") })];
  const again = tell({ attempt: 2, from: 990, end: { kind: "ok", body: bodyOf("e2") } });
  const policy = { retentionMs: 2_000 };
  expect(broken({ events: [...tell(), ...again], rows, policy })).toEqual(["I1"]);
});
