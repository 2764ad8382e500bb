/** For the checker's tests: a history of one key, written by hand. */
import type { HistoryEvent } from "../history/event.ts";
import type { DecisionRow, Effect, FoundRow, Policy, RecordRow } from "./case.ts";
import { judge } from "./judge.ts";
import type { Evidence, Verdict } from "./judge.ts";

const TICKET = { scope: "ada", key: "k1", target: "POST /orders" };
const POLICY: Policy = { strategy: "advisory", mismatch: "replay", retentionMs: 86_400_000 };

/** The body that a run of the handler makes; `effect` is `null` where it has none. */
export function bodyOf(effectId: string | null, scope: string = TICKET.scope): string {
  return JSON.stringify({ answer: `answer-${effectId}`, effect: effectId, scope });
}

/** When an attempt started and how it ended, what is not given as in an undisturbed success of the first request. */
export interface Told {
  readonly attempt?: number;
  readonly from?: number;
  readonly to?: number;
  readonly server?: string;
  readonly process?: string;
  readonly fingerprint?: string;
  readonly key?: string;
  readonly hangs?: true;
  readonly end?:
    | { readonly kind: "none" }
    | {
        readonly kind: "fail";
        readonly status: number;
        readonly code?: string;
        readonly originalStatus?: number;
      }
    | { readonly kind: "info"; readonly reason: string; readonly isLate?: boolean }
    | {
        readonly kind: "ok";
        readonly status?: number;
        readonly isReplayed?: boolean;
        readonly isMismatch?: boolean;
        readonly body?: string;
      };
}

/** Invoke and end of one attempt. */
export function tell(told: Told = {}): HistoryEvent[] {
  const { attempt = 1, from = 0, to = from + 10, server = "A", fingerprint = "f1" } = told;
  const { end = { kind: "ok" }, key = TICKET.key, process = "client 1" } = told;
  const base = { ...TICKET, key, operation: "op1", process };
  const invoke: HistoryEvent = {
    kind: "invoke",
    ...base,
    attempt,
    server,
    fingerprint,
    ...(told.hangs === true ? { hangs: true } : {}),
    ...at(from),
  };
  if (end.kind === "none") return [invoke];
  const ok = { status: 201, isReplayed: false, isMismatch: false, headers: "", body: bodyOf("e1") };
  const ending = end.kind === "ok" ? { ...ok, ...end } : end;
  return [invoke, { attempt, ...ending, ...at(to) }];
}

export function at(ms: number): { readonly atMs: number; readonly wallAt: number } {
  return { atMs: ms, wallAt: 1_000_000 + ms };
}

export function effect(id: string, more: Partial<Effect> = {}): Effect {
  return {
    kind: "effect",
    id,
    ...TICKET,
    operation: "op1",
    fingerprint: "f1",
    downstream: null,
    wallAt: 1_000_005,
    ...more,
  };
}

export function record(more: Partial<RecordRow> = {}): RecordRow {
  return { kind: "record", ...TICKET, status: 201, body: bodyOf("e1"), ...more };
}

/** A row of the audit. */
export function decision(more: Partial<DecisionRow> = {}): DecisionRow {
  return { kind: "decision", action: "resolved", ...TICKET, status: 201, ...more };
}

/** A server's report of the crashed lease. */
export function found(): FoundRow {
  return { kind: "found", ...TICKET };
}

export interface ByHand extends Partial<Omit<Evidence, "policyOf">> {
  readonly policy?: Partial<Policy>;
}

/** Judges with one effect and its record, unless `rows` is given. */
export function judged({ policy, ...evidence }: ByHand): Verdict {
  return judge({
    events: [],
    rows: [effect("e1"), record()],
    leftovers: [],
    raced: [],
    isComplete: true,
    ...evidence,
    policyOf: () => ({ ...POLICY, ...policy }),
  });
}

/** The invariants that are broken, each once, in order. */
export function broken(evidence: ByHand): string[] {
  const names = judged(evidence).violations.map(({ invariant }) => invariant);
  return [...new Set(names)].toSorted();
}
