/** The result of a run, in the three kinds that a page must distinguish. */
import type { ErrorByCode, IdempotencyError, UnexpectedAnswerError } from "@oncekey/shared";
import type { EventCallbacks } from "../options/events.ts";

/** An error of the application, such as a declined card: it has no code of the contract. */
export type ApplicationError = IdempotencyError & { readonly code: undefined };

/** An error whose `code` narrows it to its class. */
export type CodedError = ErrorByCode[keyof ErrorByCode] | ApplicationError;

interface Ended {
  readonly key: string;
  /**
   * Attempts that this run began, at least 0, including those that never left the device. Polls of an earlier request that still
   * runs do not count.
   */
  readonly attempts: number;
}

/** A result whose outcome is known. */
export type Settled<Value = unknown> = Done<Value> | Rejected;

/** The operation happened, once. */
export type Done<Value> = Ended & {
  readonly kind: "done";
  /** Whether the server answered from its record. */
  readonly replayed: boolean;
  /**
   * `false`: the server remembers that the operation happened, and its response is no longer stored, or never was. `value` is
   * `undefined` then, and an operation with a schema has `valueError`.
   */
  readonly stored?: false;
  readonly status: number;
} & (
    | {
        /** The parsed body, or the output of the schema; without a schema `undefined` if the answer had no body. */
        readonly value: Value;
        readonly valueError?: undefined;
      }
    | {
        readonly value: undefined;
        /** Why there is no value although the operation happened: its answer does not match the schema of the operation. */
        readonly valueError: UnexpectedAnswerError;
      }
  );

/** The operation did not happen and will not under this key: the next run mints a new one, unless there is an `earlier` one. */
export interface Rejected extends Ended {
  readonly kind: "rejected";
  readonly error: CodedError;
  /**
   * The result of an earlier operation of the instance, with another input. It was unresolved, and this run settled it instead of
   * starting a second one: `error.code` is `earlier_operation_exists`. The next run mints a key.
   */
  readonly earlierResult?: Settled;
  /**
   * The unresolved operation whose key was used, if the answer does not carry its result: the client keeps it, and its `resume` asks
   * for it.
   */
  readonly earlier?: PendingOperation;
}

/** Asks the server for the outcome and starts nothing, also with a key that is too old to be sent again. */
type Check<Value, CanCheck extends boolean> = (
  options?: RunOptions,
) => Promise<RunResult<Value, CanCheck>>;

/** The operation may have happened. The client keeps the key, and `resume` asks again with it. */
export type Unknown<Value, CanCheck extends boolean = boolean> = Ended & {
  readonly kind: "unknown";
  readonly error: CodedError;
  /**
   * Whether the result belongs to an earlier operation of the instance, with another input:
   * `resume` then goes on with that one, and the input of this run was not sent.
   */
  readonly earlier?: true;
  /**
   * Whether `resume` can help: `false` past the lifetime of the key, if the body was not stored, or if a later release wrote the
   * record. Then show `forget` beside what the application can find out another way.
   */
  readonly canResume: boolean;
  /** When asking again makes sense; missing if the server named no time. */
  readonly retryAt?: Date;
  /**
   * Sends the same request with the same key again. If the operation was settled or given up in the meantime, there is no local
   * record: with `statusCheck: true` the client only looks the result up, otherwise it sends the request. A request that was
   * rejected without being stored, or given up before it arrived, may then happen. Take a new list of `pending()` instead of an
   * old handle.
   */
  readonly resume: (options?: RunOptions) => Promise<RunResult<Value, CanCheck>>;
  /**
   * `false`: a check found nothing stored. A request that is still on its way may yet arrive, so the client keeps the key; `resume`
   * runs the operation under the same key, at most once.
   */
  readonly found?: false;
  /**
   * Gives the operation up as soon as no run of its instance is live: the next run mints a new key and may repeat the operation.
   * Requests that were sent under its key since (`onChange: 'hold'`) stay.
   */
  readonly forget: () => Promise<void>;
} & ([CanCheck] extends [true]
    ? {
        /** Asks the server for the outcome and starts nothing, also with a key that is too old to be sent again. */
        readonly check: Check<Value, CanCheck>;
      }
    : {
        /** Asks the server for the outcome and starts nothing. Only with `statusCheck: true`. */
        readonly check?: Check<Value, CanCheck>;
      });

/** The result of a run. Its `kind` decides what a page shows. */
export type RunResult<Value, CanCheck extends boolean = boolean> =
  | Done<Value>
  | Rejected
  | Unknown<Value, CanCheck>;

/** Options of one run. A run that joins another one shares its promise and its callbacks. */
export interface RunOptions extends EventCallbacks {
  /**
   * Stops waiting and sending, once all who joined the run have aborted. If a request has left, the result is `unknown`, never
   * "cancelled"; before that, it is `rejected` and nothing was sent.
   */
  readonly signal?: AbortSignal | undefined;
  /**
   * Whether a remembered operation with the same input is passed over, because a new one is wanted. An unresolved one still comes
   * first. Default `false`: the same input after `done` is sent under the same key, and gets a replay.
   */
  readonly again?: boolean | undefined;
}

/** An operation that an earlier page or process left unfinished. */
export interface PendingOperation {
  readonly operation: string;
  readonly instance: string;
  readonly key: string;
  readonly createdAt: Date;
  /** Whether `resume` can help, see {@link Unknown}. */
  readonly canResume: boolean;
  /**
   * Sends the stored request with its key again, or joins its live run. Without a record see {@link
   * Unknown}.
   */
  readonly resume: (options?: RunOptions) => Promise<RunResult<unknown>>;
  /** Asks the server for the outcome and starts nothing. Only with `statusCheck: true`. */
  readonly check?: (options?: RunOptions) => Promise<RunResult<unknown>>;
  /** Gives the operation up, as `forget` of an {@link Unknown} result does: the next run may repeat it under a new key. */
  readonly forget: () => Promise<void>;
}
