/** How a run ended, in the three kinds that a page has to tell apart. */
import type { IdempotencyError } from "@oncekey/shared";

interface Ended {
  readonly key: string;
  /** How often the request was sent in this run; polls of an earlier one that still runs are not counted. */
  readonly attempts: number;
}

/** It happened, once. */
export interface Done<Value> extends Ended {
  readonly kind: "done";
  /** The parsed body; `undefined` where there is none, or where the server could not keep it. */
  readonly value: Value;
  /** Whether the server answered from its record. */
  readonly replayed: boolean;
  readonly status: number;
}

/** It did not happen and will not under this key: the next run mints a new one. */
export interface Rejected extends Ended {
  readonly kind: "rejected";
  readonly error: IdempotencyError;
}

/** It may have happened. The key is kept, and `resume` asks again with it. */
export interface Unknown<Value> extends Ended {
  readonly kind: "unknown";
  readonly error: IdempotencyError;
  /** When the server said that asking again makes sense, if it did. */
  readonly retryAt?: Date;
  /** Sends the same request under the same key again. */
  resume(options?: RunOptions): Promise<RunResult<Value>>;
  /** Gives the operation up: the next run mints a new key, and may do it a second time. */
  forget(): Promise<void>;
}

export type RunResult<Value> = Done<Value> | Rejected | Unknown<Value>;

export interface RunOptions {
  /** Stops waiting and sending. Once a request has left, the result is `unknown`, never "cancelled". */
  readonly signal?: AbortSignal | undefined;
}

/** An operation that an earlier page or process left unfinished. */
export interface PendingOperation {
  readonly operation: string;
  readonly instance: string;
  readonly key: string;
  readonly createdAt: Date;
  resume(options?: RunOptions): Promise<RunResult<unknown>>;
  forget(): Promise<void>;
}
