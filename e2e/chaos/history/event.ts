/** Events of a history: one line for each action, observation and fault of a client. */

/**
 * Readings of two clocks: `atMs` never steps back and orders the history, `wallAt` is for people
 * and for the database's instants.
 */
export interface Instant {
  readonly atMs: number;
  readonly wallAt: number;
}

/** A request leaves a client. */
export interface Invoke extends Instant {
  readonly kind: "invoke";
  /** Number of this attempt, unique in its history; its end repeats it. */
  readonly attempt: number;
  /** Which client sends it. */
  readonly process: string;
  /** Which server it goes to, as far as the client knows. */
  readonly server: string;
  /** The client's operation. A client that keeps its key has one key for one operation. */
  readonly operation: string;
  readonly scope: string;
  readonly key: string;
  /** Method and path, as a record has it. */
  readonly target: string;
  /** Digest of query, content type and body. */
  readonly fingerprint: string;
  /** Fault of this attempt alone, such as a reply that was dropped on the way. */
  readonly fault?: string;
  /** Whether the rig plans that the attempt times out: its handler hangs, or its reply stream stalls. */
  readonly hangs?: true;
}

/** A final answer: one that is stored, or the replay of it. */
export interface Ok extends Instant {
  readonly kind: "ok";
  readonly attempt: number;
  readonly status: number;
  readonly isReplayed: boolean;
  /** `Idempotency-Mismatch: true`. */
  readonly isMismatch: boolean;
  /** The stored headers, one a line, sorted. */
  readonly headers: string;
  readonly body: string;
}

/** An answer that this attempt did nothing: a refusal, or a failure that was rolled back. */
export interface Fail extends Instant {
  readonly kind: "fail";
  readonly attempt: number;
  readonly status: number;
  /** The problem's code, if there is one. */
  readonly code?: string;
  /** The status of the response that is no longer kept. */
  readonly originalStatus?: number;
}

/** No answer, or one that leaves open what happened. */
export interface Info extends Instant {
  readonly kind: "info";
  readonly attempt: number;
  readonly status?: number;
  readonly reason: string;
  /** The attempt timed out: on a busy machine that is no fault of the product. */
  readonly isLate?: boolean;
}

/** A client's conclusion from all its attempts at an operation. */
export interface Result extends Instant {
  readonly kind: "result";
  readonly operation: string;
  readonly scope: string;
  readonly key: string;
  readonly target: string;
  readonly fingerprint: string;
  readonly outcome: "done" | "rejected" | "unknown";
}

/** A record is deleted on purpose, so that its key may run again; `done`: `server` confirmed it. */
export interface Forget extends Instant {
  readonly kind: "forget";
  readonly phase: "asked" | "done";
  readonly server: string;
  readonly scope: string;
  readonly key: string;
  readonly target: string;
}

/** A fault: from `begin` to `end` what it disturbs is excused, but nothing that is promised is. */
export interface FaultEvent extends Instant {
  readonly kind: "fault";
  readonly phase: "begin" | "end";
  readonly fault: string;
  /** Servers whose clients may be left without an answer. Undefined: all servers. */
  readonly servers?: readonly string[] | undefined;
}

export type HistoryEvent = Invoke | Ok | Fail | Info | Result | Forget | FaultEvent;

/** End of an attempt. */
export type Ending = Ok | Fail | Info;
