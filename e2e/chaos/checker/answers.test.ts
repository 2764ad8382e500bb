import { expect, test } from "vitest";
import { bodyOf, broken, effect, judged, record, tell } from "./by-hand.ts";

const replay = { kind: "ok", isReplayed: true } as const;
const inFlight = { kind: "fail", status: 409, code: "idempotency_in_flight" } as const;

test("I3: answers that differ in a byte, in the status or from what is stored are found", () => {
  const second = (end: object) =>
    broken({
      events: [...tell(), ...tell({ attempt: 2, from: 20, end: { ...replay, ...end } })],
    });
  expect(second({})).toEqual([]);
  expect(second({ body: `${bodyOf("e1")} ` })).toEqual(["I3"]);
  expect(second({ status: 200 })).toEqual(["I3"]);
  expect(broken({ events: tell(), rows: [effect("e1"), record({ status: 200 })] })).toEqual(["I3"]);
});

test("I3: what was answered is in the database, with its headers and until its day is over", () => {
  const events = tell();
  expect(broken({ events, rows: [effect("e1"), record({ status: null })] })).toContain("I3");
  const declined = tell({ end: { kind: "ok", status: 402, body: bodyOf(null) } });
  expect(broken({ events: declined, rows: [] })).toEqual(["I3"]);
  expect(broken({ events, rows: [effect("e1"), record({ headers: "location: /x" })] })).toEqual([
    "I3",
  ]);
  expect(broken({ events, rows: [effect("e1"), record({ keptMs: 1 })] })).toEqual(["I10"]);
});

test("I3: two owners of a lease that answer for one effect each by its own run are found", () => {
  const policy = { strategy: "lease", onCrash: "rerun", leaseMs: 2_000 } as const;
  const ownBody = bodyOf("e1").replace("answer-e1", "answer of the late owner");
  const lateOwner = (end: object) =>
    broken({
      events: [
        ...tell({ to: 4_000, end: { kind: "ok", ...end } }),
        ...tell({ attempt: 2, from: 2_500, to: 5_000, server: "B" }),
      ],
      policy,
    });
  expect(lateOwner({ body: ownBody })).toEqual(["I3"]);
  // Superseded, it replays what its successor stored.
  expect(lateOwner({ isReplayed: true })).toEqual([]);
});

test("I4: after a final answer no attempt gets 409 in flight", () => {
  const late = [...tell(), ...tell({ attempt: 2, from: 20, end: inFlight })];
  const early = [...tell(), ...tell({ attempt: 2, from: 5, end: inFlight })];
  const settled = tell({ attempt: 3, from: 50, end: replay });
  expect(broken({ events: [...late, ...settled] })).toEqual(["I4"]);
  expect(broken({ events: [...early, ...settled] })).toEqual([]);
});

test("I4: a server may report that the key runs while a request that it took earlier has no answer", () => {
  const refused = (server: string) =>
    broken({
      events: [
        ...tell({ server: "B" }),
        ...tell({ attempt: 2, from: 20, to: 2_300, end: inFlight }),
        // Sent after it, and taken before it by a server that was stopped.
        ...tell({ attempt: 3, from: 50, to: 2_700, server, end: replay }),
      ],
    });
  expect(refused("A")).toEqual([]);
  expect(refused("B")).toEqual(["I4"]);
});

test("I4: a server that lost an answer may report that the key runs, but not for ever", () => {
  const lost = tell({ attempt: 9, from: 1, end: { kind: "info", reason: "reset" } });
  const refused = (from: number) => {
    const settled = tell({ attempt: 3, from: from + 10, end: replay });
    const first = tell({ server: "B", from: 2 });
    return broken({
      events: [...lost, ...first, ...tell({ attempt: 2, from, end: inFlight }), ...settled],
      isComplete: false,
    });
  };
  expect(refused(5_000)).not.toContain("I4");
  expect(refused(60_000)).toContain("I4");
});

test("I4: after a final answer every other answer is a violation", () => {
  const later = (end: {
    readonly kind: "fail";
    readonly status: number;
    readonly code?: string;
  }) => {
    const settled = tell({ attempt: 3, from: 50, end: replay });
    return broken({ events: [...tell(), ...tell({ attempt: 2, from: 20, end }), ...settled] });
  };
  expect(later({ kind: "fail", status: 500 })).toEqual(["I4"]);
  expect(later({ kind: "fail", status: 412, code: "idempotency_key_expired" })).toEqual([
    "I4",
    "I7",
  ]);
});

test("I4: the owner of a lease's answer is never refused as another", () => {
  const refused = { kind: "fail", status: 422, code: "idempotency_conflict" } as const;
  const marked = { ...replay, isMismatch: true };
  const events = [
    ...tell(),
    ...tell({ attempt: 2, from: 20, fingerprint: "f2", end: marked }),
    ...tell({ attempt: 3, from: 40, end: refused }),
    ...tell({ attempt: 4, from: 60, end: replay }),
  ];
  expect(broken({ events, policy: { strategy: "lease", onCrash: "fail" } })).toEqual(["I4"]);
});

test("I4: after a final answer the handler does not run again", () => {
  const again = tell({ attempt: 2, from: 20, end: { kind: "ok" } });
  expect(broken({ events: [...tell(), ...again] })).toEqual(["I4"]);
});

test("I5: a request that differs gets the mark, and only it", () => {
  const other = (from: number, end: object, fingerprint: string) =>
    broken({
      events: [...tell(), ...tell({ attempt: 2, from, fingerprint, end: { ...replay, ...end } })],
    });
  expect(other(20, { isMismatch: true }, "f2")).toEqual([]);
  expect(other(20, {}, "f2")).toEqual(["I5"]);
  expect(other(20, { isMismatch: true }, "f1")).toEqual(["I5"]);
});

test("I5: with policy reject a request that differs is refused, and only it", () => {
  const refused = { kind: "fail", status: 422, code: "idempotency_conflict" } as const;
  const policy = { mismatch: "reject" } as const;
  const other = (fingerprint: string, end: typeof refused | typeof replay) =>
    broken({ policy, events: [...tell(), ...tell({ attempt: 2, from: 20, fingerprint, end })] });
  expect(other("f2", refused)).toEqual([]);
  expect(other("f1", refused)).toEqual(["I4", "I5", "I7"]);
  expect(other("f2", replay)).toEqual(["I5"]);
});

test("I5: with policy reject the request that ran is refused only while another one may run", () => {
  const refused = { kind: "fail", status: 422, code: "idempotency_conflict" } as const;
  const failed = { kind: "fail", status: 500 } as const;
  const lost = { kind: "info", reason: "socket hang up" } as const;
  const policy = { strategy: "row", mismatch: "reject" } as const;
  const beside = (from: number, end: typeof failed | typeof lost | typeof refused) => {
    const other = tell({ attempt: 2, from, fingerprint: "f2", end });
    const own = tell({ attempt: 3, from: 40, end: refused });
    return broken({ policy, events: [...other, ...own, ...tell({ attempt: 1, from: 60 })] });
  };
  expect(beside(38, failed)).toEqual([]);
  expect(beside(20, lost)).not.toContain("I5");
  expect(beside(20, failed)).toEqual(["I5"]);
  expect(beside(38, refused)).toEqual(["I5"]);
});

test("I5: beside a refusal that a handler threw, another one may have got in before it was stored", () => {
  const refused = { kind: "fail", status: 422, code: "idempotency_conflict" } as const;
  const beside = (status: number, effectId: string | null) => {
    const body = bodyOf(effectId);
    const effects = effectId === null ? [] : [effect(effectId)];
    const rows = [...effects, record({ status, body })];
    const policy = { mismatch: "reject" } as const;
    const other = tell({ attempt: 2, from: 2, fingerprint: "f2", end: refused });
    const own = tell({ attempt: 3, from: 3, server: "B", end: refused });
    const first = tell({ end: { kind: "ok", status, body } });
    return broken({ policy, rows, events: [...other, ...own, ...first] });
  };
  expect(beside(404, null)).toEqual([]);
  expect(beside(201, "e1")).toEqual(["I5"]);
});

test("I5: with policy replay, 422 is for a request that differs where a lease can stand open", () => {
  const refused = { kind: "fail", status: 422, code: "idempotency_conflict" } as const;
  const other = (strategy: "lease" | "row", fingerprint: string) =>
    broken({
      policy: { strategy },
      events: [...tell(), ...tell({ attempt: 2, from: 20, fingerprint, end: refused })],
    });
  expect(other("lease", "f2")).toEqual([]);
  expect(other("lease", "f1")).toEqual(["I4", "I5", "I7"]);
  expect(other("row", "f2")).toEqual(["I5"]);
});

test("I5: a refusal that is stored is one request's, too", () => {
  const declined = { kind: "ok", status: 402, body: bodyOf(null) } as const;
  const rows = [record({ status: 402, body: bodyOf(null) })];
  const other = (isMismatch: boolean) =>
    broken({
      rows,
      events: [
        ...tell({ end: declined }),
        ...tell({
          attempt: 2,
          from: 20,
          fingerprint: "f2",
          end: { ...declined, isReplayed: true, isMismatch },
        }),
      ],
    });
  expect(other(true)).toEqual([]);
  expect(other(false)).toEqual(["I5"]);
});

test("I5: two different requests never both take effect", () => {
  const rows = [effect("e1"), effect("e2", { fingerprint: "f2" }), record()];
  expect(broken({ events: tell(), rows })).toEqual(["I1", "I5"]);
});

test("I6: an answer that was made for another scope is found", () => {
  const body = bodyOf("e1", "bob");
  const events = tell({ end: { kind: "ok", body } });
  expect(broken({ events, rows: [effect("e1"), record({ body })] })).toEqual(["I6"]);
  const error = '{"message":"there is no such thing (scope bob)"}';
  const refused = tell({ end: { kind: "ok", status: 404, body: error } });
  expect(broken({ events: refused, rows: [record({ status: 404, body: error })] })).toEqual(["I6"]);
});

test("I9: a duplicate counts as a race only on another server, while the one that ran was under way", () => {
  const races = (from: number, server: string) => {
    const other = tell({ attempt: 2, from, to: from + 90, server, end: replay });
    return judged({ events: [...tell({ to: 100 }), ...other] }).races.advisory;
  };
  expect(races(50, "B")).toBe(1);
  expect(races(150, "B")).toBe(0);
  // In one process nothing reaches the database, and which server the proxy has chosen is not known.
  expect(races(50, "A")).toBe(0);
  expect(races(50, "proxy")).toBe(0);
});

test("I9: a run in which a strategy had no race at all proves nothing and fails", () => {
  expect(broken({ events: tell(), raced: ["advisory"] })).toEqual(["I9"]);
});
