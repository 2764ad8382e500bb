/** How a run ended, in the three kinds that a page has to tell apart. */
import type { IdempotencyError } from "@oncekey/shared";
import type { EventCallbacks } from "./options/events.ts";

interface Ended {
  readonly key: string;
  /**
   * Attempts that this run began, at least 0, those among them that never left, such as for want of headers or time. Polls of an
   * earlier request that still runs are not counted.
   */
  readonly attempts: number;
  /**
   * How an operation of the same instance ended that was unresolved, with another content: under `onChange: 'resolve-first'` it was
   * settled before this one got a key. Only the run that settled it has it, and those who wait for the same in other tabs.
   */
  readonly earlierResult?: Settled;
}

/** Its outcome is known. */
export type Settled = Done<unknown> | Rejected;

/** It happened, once. */
export interface Done<Value> extends Ended {
  readonly kind: "done";
  /** The parsed body; `undefined` where there is none, or where the server could not keep it. */
  readonly value: Value;
  /** Whether the server answered from its record. */
  readonly replayed: boolean;
  readonly status: number;
}

/** It did not happen and will not under this key: the next run mints a new one, unless there is an `earlier` one. */
export interface Rejected extends Ended {
  readonly kind: "rejected";
  readonly error: IdempotencyError;
  /**
   * The unresolved operation whose key was used: it is kept, and comes first. Under `onChange: 'hold'`, and for a body that the input
   * gave in the place of one which was not written down.
   */
  readonly earlier?: PendingOperation;
}

/** It may have happened. The key is kept, and `resume` asks again with it. */
export interface Unknown<Value> extends Ended {
  readonly kind: "unknown";
  readonly error: IdempotencyError;
  /** When asking again makes sense; only where the server named a time. */
  readonly retryAt?: Date;
  /**
   * Sends the same request under the same key again. Where it was settled or given up since, so that nothing of it is kept any more,
   * it is only asked for with `statusCheck: true` (a run of the same meanwhile is that look, and can end `found: false` with nothing
   * sent: run it once more), and otherwise sent: what was rejected without being stored, or was given up before it arrived, may then
   * happen after all. So take a new list of `pending()` rather than an old handle.
   */
  readonly resume: (options?: RunOptions) => Promise<RunResult<Value>>;
  /**
   * Asks what came of it and starts nothing, also of a key that is too old to be sent again. Only with `statusCheck: true`.
   */
  readonly check?: (options?: RunOptions) => Promise<RunResult<Value>>;
  /**
   * `false`: a check found nothing stored. A request that is still on its way may yet arrive, and so the key is kept; `resume` does
   * it under the same key, at most once.
   */
  readonly found?: false;
  /**
   * Gives the operation up, once no run of its instance is under way: the next run mints a new key, and may do it a second time. What
   * was sent under its key since (`onChange: 'hold'`) is kept.
   */
  readonly forget: () => Promise<void>;
}

/** What a run resolves to. Its `kind` decides what a page shows. */
export type RunResult<Value> = Done<Value> | Rejected | Unknown<Value>;

/** What one run can be told. A second run is the promise of the one which started, and only that one's options are heeded. */
export interface RunOptions extends EventCallbacks {
  /**
   * Stops waiting and sending. Once a request has left, the result is `unknown`, never "cancelled"; before, it is `rejected` and
   * nothing was sent.
   */
  readonly signal?: AbortSignal | undefined;
}

/** An operation that an earlier page or process left unfinished. */
export interface PendingOperation {
  readonly operation: string;
  readonly instance: string;
  readonly key: string;
  readonly createdAt: Date;
  /**
   * Sends the kept request under its key again; where it runs already, this is that run. Where it is kept no longer, as that of an
   * {@link Unknown} result does.
   */
  readonly resume: (options?: RunOptions) => Promise<RunResult<unknown>>;
  /** Asks what came of it and starts nothing. Only with `statusCheck: true`. */
  readonly check?: (options?: RunOptions) => Promise<RunResult<unknown>>;
  /** Gives it up, as that of an {@link Unknown} result does: the next run may do it a second time, under a new key. */
  readonly forget: () => Promise<void>;
}
