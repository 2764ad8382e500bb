import { describe, expect, test } from "vitest";
import { ABANDONED } from "./abandoned.ts";
import { bodyOf, broken, decision, effect, found, judged, record, tell } from "./by-hand.ts";
import type { Row } from "./case.ts";

const policy = { strategy: "lease", onCrash: "ask", leaseMs: 2_000 } as const;
const events = tell({ process: ABANDONED, end: { kind: "info", reason: "killed" } });
const decided = record({ body: bodyOf("e1").replace("}", ',"isDecided":true}') });
const unfinished = record({ status: null, body: null });

function broke(...rows: Row[]): string[] {
  return broken({ events, rows, policy });
}

describe("I11: a lease whose client never comes back", () => {
  test("ends with the handler's answer, or with one decision in the audit", () => {
    expect(broke(effect("e1"), record())).toEqual([]);
    expect(broke(effect("e1"), decided, decision(), found())).toEqual([]);
    expect(broke()).toEqual([]);
  });

  test("has no outcome if its record stays unfinished", () => {
    expect(broke(effect("e1"), unfinished)).toEqual(["I11"]);
  });

  test("does not vanish without a row of the audit", () => {
    expect(broke(effect("e1"))).toEqual(["I11"]);
    expect(broke(found())).toEqual(["I11"]);
    for (const action of ["expired", "forgotten"] as const)
      expect(broke(effect("e1"), decision({ action, status: null }), found())).toEqual([]);
    expect(broke(effect("e1"), decision(), found())).toEqual(["I11"]);
  });

  test("is not decided without the audit, nor twice, nor as something else than is stored", () => {
    expect(broke(effect("e1"), decided, found())).toEqual(["I11"]);
    expect(broke(effect("e1"), decided, decision(), decision(), found())).toEqual(["I11"]);
    expect(broke(effect("e1"), decided, decision({ status: 402 }), found())).toEqual(["I11"]);
    expect(broke(effect("e1"), record(), decision(), found())).toEqual(["I11"]);
    const failed = record({ status: 500, body: '{"code":"idempotency_outcome_unknown"}' });
    expect(broke(effect("e1"), failed, found())).toEqual(["I11"]);
    expect(broke(effect("e1"), failed, decision({ status: 500 }), found())).toEqual([]);
  });

  test("is reported by an event before it is decided", () => {
    expect(broke(effect("e1"), decided, decision())).toEqual(["I11"]);
    // Which an operator may be faster than, where crash recovery decides nothing.
    const operated = { ...policy, onCrash: "rerun" } as const;
    const rows = [effect("e1"), decided, decision()];
    expect(broken({ events, rows, policy: operated })).toEqual([]);
    const swept = [effect("e1"), decision({ action: "expired", status: null })];
    expect(broken({ events, rows: swept, policy: operated })).toEqual(["I11"]);
  });

  test("takes effect once", () => {
    const twice = [effect("e1"), effect("e2"), decided, decision(), found()];
    expect(broke(...twice)).toEqual(["I1", "I11"]);
  });

  test("is judged by its end only if the run was complete", () => {
    const rows = [effect("e1"), unfinished];
    expect(broken({ events, rows, policy, isComplete: false })).toEqual([]);
  });

  test("is no lease that a client repeats", () => {
    const repeated = [...events, ...tell({ attempt: 2, from: 20 })];
    const rows = [effect("e1"), decided, found()];
    expect(broken({ events: repeated, rows, policy })).not.toContain("I11");
  });

  test("is counted by what became of it", () => {
    const rows = [effect("e1"), decided, decision(), found()];
    const { abandoned } = judged({ events, rows, policy });
    expect(abandoned).toMatchObject({ keys: 1, notBegun: 0, finished: 0, resolved: 1 });
    expect(judged({ events, rows: [], policy }).abandoned).toMatchObject({ keys: 1, notBegun: 1 });
  });
});
