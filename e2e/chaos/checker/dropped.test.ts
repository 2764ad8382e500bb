import { describe, expect, test } from "vitest";
import { at, bodyOf, broken, effect, judged, record, tell } from "./by-hand.ts";
import type { ByHand } from "./by-hand.ts";
import { DAYS_TURN } from "./disturbance.ts";

const key = "01a17aa8-1c00-7000-8000-000000000001";
const policy = { retentionMs: 2_000, fenceMs: 10_000 } as const;
const over = { kind: "fail", status: 412, code: "idempotency_key_expired" } as const;

const ROWS = [{ ...effect("e1"), key }];

/** Judges a history of this key, with the one effect that its handler had and no record. */
function found({ rows = ROWS, ...told }: ByHand): string[] {
  return broken({ policy, rows, ...told });
}

function refused(from: number, more: { readonly key?: string } = {}) {
  return tell({ attempt: 2, from, key, end: over, ...more });
}

describe("I10: a key that is refused because its day was dropped", () => {
  test("is at its end after its fence, whether it was ever used or not", () => {
    expect(found({ events: [...tell({ key }), ...refused(10_500)] })).toEqual([]);
    expect(found({ events: refused(0), rows: [] })).toEqual([]);
    expect(judged({ events: refused(0), rows: [], policy }).dropped).toBe(1);
  });

  test("was refused too early within its fence", () => {
    expect(found({ events: [...tell({ key }), ...refused(9_500)] })).toEqual(["I10"]);
  });

  test("was refused too early within the fence of an effect whose answer was lost", () => {
    const lost = tell({ key, end: { kind: "info", reason: "reset" } });
    const asked = (from: number) =>
      found({ events: [...lost, ...refused(from)], isComplete: false });
    expect(asked(9_500)).toContain("I10");
    expect(asked(10_500)).not.toContain("I10");
  });

  test("may be refused while a run is under way that began before its day was dropped", () => {
    expect(found({ events: [...tell({ key, to: 100 }), ...refused(50)] })).toEqual([]);
  });

  test("runs no more", () => {
    const again = tell({ attempt: 3, from: 20_000, key });
    expect(found({ events: [...refused(10_500), ...again] })).toEqual(["I10"]);
  });

  test("may not be refused at all if its record lasts", () => {
    const rows = [...ROWS, record({ key, body: bodyOf("e1") })];
    const lasting = { retentionMs: 86_400_000 };
    expect(found({ events: [...tell({ key }), ...refused(500)], rows, policy: lasting })).toContain(
      "I4",
    );
  });

  test("gets no 409 while partitions come and go", () => {
    const refusal = { kind: "fail", status: 409, code: "idempotency_in_flight" } as const;
    const turn = (phase: "begin" | "end", ms: number) =>
      ({ kind: "fault", phase, fault: DAYS_TURN, ...at(ms) }) as const;
    const told = [...tell(), ...tell({ attempt: 2, from: 60_000, end: refusal })];
    const events = [turn("begin", 0), ...told, turn("end", 90_000)];
    expect(broken({ events, policy: { strategy: "row" }, isComplete: false })).toEqual(["I4"]);
  });

  test("is a UUIDv7: other keys have no day", () => {
    const other = "01a17aa8-1c00-4000-8000-000000000001";
    expect(found({ events: refused(0, { key: other }), rows: [] })).toContain("I7");
  });
});
