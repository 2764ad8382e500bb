/** A history and the database, taken apart by ticket: what happened to one key, in one scope, on one target. */
import { overlap } from "./disturbance.ts";
import type { Disturbance } from "./disturbance.ts";
import type { Ending, Forget, HistoryEvent, Invoke, Result } from "../history/event.ts";

/** One row of the effects table. Nothing keeps it single: what is there happened. */
export interface Effect {
  readonly kind: "effect";
  readonly id: string;
  readonly operation: string;
  readonly scope: string;
  readonly key: string;
  readonly target: string;
  readonly fingerprint: string;
  /** The key that the handler passed on, if it calls the outside world. */
  readonly downstream: string | null;
  /** The database's clock, in milliseconds since 1970. */
  readonly wallAt: number;
}

/** One row of the table of records. */
export interface RecordRow {
  readonly kind: "record";
  readonly scope: string;
  readonly key: string;
  readonly target: string;
  /** Null: not finished. */
  readonly status: number | null;
  readonly body: string | null;
  /** As an answer has them. Undefined: not looked at. */
  readonly headers?: string | null;
  /** Lifetime of the record by the database's clock, in ms. Undefined: not read. */
  readonly keptMs?: number;
}

/** One row of the audit. */
export interface DecisionRow {
  readonly kind: "decision";
  readonly action: "resolved" | "forgotten" | "expired";
  readonly scope: string;
  readonly key: string;
  readonly target: string;
  /** Status of the answer that was stored or deleted. */
  readonly status: number | null;
}

/** A server reported by the event `oncekey:crashed`, without a request, that it found this lease. */
export interface FoundRow {
  readonly kind: "found";
  readonly scope: string;
  readonly key: string;
  readonly target: string;
}

/** Facts about one ticket that are no events of clients. */
export type Row = Effect | RecordRow | DecisionRow | FoundRow;

/** Promises for a target. */
export interface Policy {
  readonly strategy: "advisory" | "unique" | "row" | "lease";
  readonly mismatch: "replay" | "reject";
  readonly retentionMs: number;
  /** Lifetime of the key, in ms. Default: that of the response. */
  readonly fenceMs?: number;
  /** Strategy lease: what the route declares. `ask`: a function that looks for the effect. */
  readonly onCrash?: "rerun" | "fail" | "ask";
  /** Strategy lease: how long one lasts. */
  readonly leaseMs?: number;
  /** The request carries no key: it commits with its answer, once for each time that it is sent. */
  readonly isKeyless?: boolean;
}

export interface Attempt {
  readonly invoke: Invoke;
  /** Undefined: none was seen before the history ended. */
  readonly ending: Ending | undefined;
}

/** All that is known of one ticket. */
export interface Case {
  readonly scope: string;
  readonly key: string;
  readonly target: string;
  readonly policy: Policy;
  readonly attempts: readonly Attempt[];
  readonly results: readonly Result[];
  readonly forgets: readonly Forget[];
  readonly effects: readonly Effect[];
  readonly record: RecordRow | undefined;
  readonly decisions: readonly DecisionRow[];
  /** Whether a server reported that it found the lease crashed. */
  readonly isFound: boolean;
  /** Whether any fault struck anything while it was asked for. */
  readonly isStruck: boolean;
  /** Whether partitions of days came and went while it was asked for. */
  readonly isBesideTurns: boolean;
}

/** One broken promise. */
export interface Violation {
  readonly invariant: string;
  readonly message: string;
  /** Undefined where it is about the run and not about one ticket. */
  readonly at: Case | undefined;
}

export type Invariant = (one: Case) => Violation[];

interface Ticket {
  readonly scope: string;
  readonly key: string;
  readonly target: string;
}

interface Draft extends Ticket {
  readonly attempts: Attempt[];
  readonly results: Result[];
  readonly forgets: Forget[];
  readonly effects: Effect[];
  record: RecordRow | undefined;
  readonly decisions: DecisionRow[];
  isFound: boolean;
}

/** Facts by which a ticket is judged beside its own events. */
interface Ground {
  readonly policyOf: (target: string) => Policy;
  readonly disturbances: readonly Disturbance[];
  readonly turns: readonly Disturbance[];
}

export function toCases(
  events: readonly HistoryEvent[],
  rows: readonly Row[],
  { policyOf, disturbances, turns }: Ground,
): Case[] {
  const drafts = new Map<string, Draft>();
  const draftOf = ({ scope, key, target }: Ticket): Draft => {
    const id = JSON.stringify([scope, key, target]);
    const known = drafts.get(id);
    if (known !== undefined) return known;
    const draft: Draft = {
      scope,
      key,
      target,
      attempts: [],
      results: [],
      forgets: [],
      effects: [],
      record: undefined,
      decisions: [],
      isFound: false,
    };
    drafts.set(id, draft);
    return draft;
  };
  const endings = endingsOf(events);
  for (const event of events) {
    if (event.kind === "invoke")
      draftOf(event).attempts.push({ invoke: event, ending: endings.get(event.attempt) });
    else if (event.kind === "result") draftOf(event).results.push(event);
    else if (event.kind === "forget") draftOf(event).forgets.push(event);
  }
  for (const row of rows) {
    const draft = draftOf(row);
    if (row.kind === "effect") draft.effects.push(row);
    else if (row.kind === "decision") draft.decisions.push(row);
    else if (row.kind === "found") draft.isFound = true;
    else draft.record = row;
  }
  return [...drafts.values()].map((draft) => ({
    ...draft,
    policy: policyOf(draft.target),
    isStruck: isStruck(draft.attempts, disturbances),
    isBesideTurns: isStruck(draft.attempts, turns),
  }));
}

function isStruck(attempts: readonly Attempt[], disturbances: readonly Disturbance[]): boolean {
  const [first] = attempts;
  if (first === undefined) return true;
  const ends = attempts.map(({ invoke, ending }) => (ending ?? invoke).atMs);
  const span = { from: first.invoke.atMs, until: Math.max(...ends) };
  return disturbances.some((disturbance) => overlap(disturbance, span));
}

function endingsOf(events: readonly HistoryEvent[]): Map<number, Ending> {
  const endings = new Map<number, Ending>();
  for (const event of events) {
    if (event.kind === "ok" || event.kind === "fail" || event.kind === "info")
      endings.set(event.attempt, event);
  }
  return endings;
}

/** The handler's part of an answer: unique to the run of the handler that made it. */
export interface Answer {
  readonly answer: string;
  readonly effect: string | null;
  readonly scope: string;
  /** Errors in an answer that is a success by its status: the effect was rolled back. */
  readonly errors?: readonly unknown[];
  /** The answer was made without the handler: by `onCrash`, or by an operator. */
  readonly isDecided?: true;
}

/** Undefined where the body is not one that the handler makes. */
export function readAnswer(body: string): Answer | undefined {
  try {
    const answer = JSON.parse(body) as Partial<Answer>;
    return typeof answer.answer === "string" ? (answer as Answer) : undefined;
  } catch {
    return undefined;
  }
}
