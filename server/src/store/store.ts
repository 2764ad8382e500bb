/** The `Store` interface between a request and the database, which every strategy implements. */
import type { PoolClient } from "pg";

/**
 * Identity of one request: the key with its owner (`scope`), the route (`target`) and a digest of
 * the request. Frozen.
 */
export interface Ticket {
  readonly key: string;
  readonly scope: string;
  readonly target: string;
  readonly fingerprint: Buffer;
  /** Scope, target and key as one string, if it has been made: see `ticketId`. */
  readonly id?: string;
}

/** A response as it is kept: exact bytes, so that a replay is what the first caller saw. */
export interface StoredResponse {
  readonly status: number;
  /** Name and value in the order of the reply; a header with several values stands several times. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** `undefined`: done, but the body could not be kept. */
  readonly body: Buffer | undefined;
}

/** For how long a stored response is kept, and its key; both in ms, counted from the moment it is stored. */
export interface Retention {
  readonly retentionMs: number;
  /** Never shorter than `retentionMs`. */
  readonly fenceMs: number;
}

/**
 * Remaining lifetime of a record by the database's clock, and the instant of the query: the process
 * may be suspended before it reads the answer.
 */
export interface Lifetime {
  /** Milliseconds from `askedAt` on for which the record may be answered with. */
  readonly lifetimeMs: number;
  /** Milliseconds from `askedAt` on for which its key runs nothing. */
  readonly fenceMs: number;
  /** Before the database was asked, on the clock of `performance.now()`. */
  readonly askedAt: number;
}

/** Stored record of a finished ticket. */
export interface StoredRecord extends Lifetime {
  readonly fingerprint: Buffer;
  readonly response: StoredResponse;
  /** Whether the response has expired: only its status is known, and the key still runs nothing. */
  readonly isTombstone?: true;
  /** Strategy lease: the claim that finished it. */
  readonly owner?: string | undefined;
}

/** The store could not answer. `detail` may be shown to the caller, `cause` only to the log. */
export interface Unavailable {
  readonly kind: "unavailable";
  readonly detail: string;
  readonly cause?: unknown;
}

/** Handlers of the ticket's scope hold their share of the connections, and none was given back in time. */
export interface Busy {
  readonly kind: "busy";
}

/** Another request runs this ticket. */
export interface InFlight {
  readonly kind: "in-flight";
  /** The running request's, if the strategy can know it. */
  readonly fingerprint?: Buffer | undefined;
  /** It has failed just now, and nothing was stored. */
  readonly hasFailed?: true;
  /** The table was locked for longer than the try waits: whether a request runs is not known. */
  readonly isTableLocked?: true;
}

/**
 * Outcome of one try of `begin`. `crashed`: an earlier owner did not finish, and the claim is taken
 * over from it. `conflict`: another request did not finish, and only that request can go on.
 */
export type BeginOutcome =
  | { readonly kind: "claimed"; readonly claim: Claim }
  | { readonly kind: "crashed"; readonly claim: Claim }
  | { readonly kind: "replay"; readonly record: StoredRecord }
  | { readonly kind: "conflict" }
  | InFlight
  | Busy
  | Unavailable;

/**
 * Outcome of `lookup`, which starts nothing. `unknown`: an owner did not finish, and its effects
 * are not known.
 */
export type LookupOutcome =
  | { readonly kind: "replay"; readonly record: StoredRecord }
  | InFlight
  | { readonly kind: "absent" }
  | { readonly kind: "unknown" }
  | Unavailable;

/**
 * End of a claim. `superseded`: another claim had finished this ticket, so this claim's writes are
 * rolled back and the other record stands. `rolled-back`: nothing was kept; `isFinal` if Postgres
 * refused the handler's writes and would refuse them again. `unknown`: the commit's outcome is not
 * known; the next look-up decides. `lost`: another owner holds the ticket and has not finished;
 * nothing of this claim was stored. `split`: the handler had ended the transaction itself, so its
 * writes and the record were two commits.
 */
export type Completion =
  | ({ readonly kind: "stored"; readonly split: boolean } & Lifetime)
  | { readonly kind: "superseded"; readonly record: StoredRecord }
  | { readonly kind: "lost" }
  | { readonly kind: "rolled-back"; readonly cause: unknown; readonly isFinal?: true }
  | { readonly kind: "unknown"; readonly cause: unknown };

/** Whether the handler's writes are committed with the response, or rolled back before it is stored. */
export type Writes = "keep" | "discard";

/**
 * Reason for which a claim is released. `free`: the handler answered that it did nothing.
 * `refused`: it threw an error of that meaning, such as a 429. `failed`: it threw any other error.
 * `timed-out`: it held a connection, or its reply stream stalled, for longer than `maxHandlerMs`.
 * Then its signal aborts and a running statement is cancelled. In a transaction all roll back. A
 * lease that failed or timed out counts as crashed, and so does one that refused after a step had
 * begun.
 */
export type Release = "free" | "refused" | "failed" | "timed-out";

/** The right to finish one ticket. Ended once, by `complete` or by `release`; only its holder can write a record. */
export interface Claim {
  /** The connection whose transaction holds the handler's writes; `undefined` where the strategy has none. */
  readonly tx: PoolClient | undefined;
  /**
   * Number of times the handler was started for this ticket, according to the record, this start
   * included.
   *
   * @range from 1
   */
  readonly attempt: number;
  /** Aborts when the claim is lost while the handler runs. */
  readonly signal: AbortSignal;
  /** Results of finished steps, if the strategy keeps them. */
  readonly steps: StepMemory | undefined;
  /** For a handler without a transaction: one for its last writes, which `complete` commits. */
  readonly lastWrites:
    | { readonly commit: CommitWrites; readonly isOpen: () => boolean }
    | undefined;
  complete(response: StoredResponse, writes: Writes): Promise<Completion>;
  /** Calls the listener once, when the claim has ended and before its holder gets the result. Listeners must not throw. */
  onEnd(listener: (end: ClaimEnd) => void): void;
  /** Resolves with a statement on another connection that waited for this claim's transaction, if a time-out found one. */
  release(how: Release): Promise<string | undefined>;
}

/** The end of a claim, for layers that wait for it. `broken`: the store threw. */
export type ClaimEnd =
  | {
      readonly kind: "completed";
      readonly completion: Completion;
      readonly response: StoredResponse;
      /** Before the store was asked, on the clock of `performance.now()`. */
      readonly startedAt: number;
    }
  | {
      readonly kind: "released" | "broken";
      readonly how: Release | undefined;
      readonly startedAt: number;
    };

/** Runs `write` in a transaction that commits together with the stored response. */
export type CommitWrites = <Result>(
  write: (tx: PoolClient) => Promise<Result> | Result,
) => Promise<Result>;

/** Results of a handler's finished steps, by name, as JSON. */
export interface StepMemory {
  read(name: string): string | undefined;
  /** Notes that a step's effect may happen from now on. Returns the function to call when the step has ended. */
  begin(): () => void;
  /** Throws where the claim is lost or the store does not answer: then the step's result is not remembered. */
  write(name: string, json: string): Promise<void>;
}

/** A transaction without a record, for a request that carries no key where none is required. */
export type OpenOutcome =
  | { readonly kind: "claimed"; readonly claim: Claim }
  | { readonly kind: "busy" }
  | Unavailable;

/** One strategy. Every method answers with a value; a database that fails is `unavailable`, not an exception. */
export interface Store {
  /**
   * One try, without waiting for another process: claims the ticket, finds its record, or reports
   * that it is in flight.
   */
  begin(ticket: Ticket, retention: Retention): Promise<BeginOutcome>;
  /** Looks the ticket up and starts nothing. */
  lookup(ticket: Ticket): Promise<LookupOutcome>;
  /** A transaction that commits with the reply and stores nothing. @param scope `undefined` if the caller has none. */
  open(scope?: string): Promise<OpenOutcome>;
}
