/** The result of a run: done, rejected or unknown. */
import type { ErrorByCode, IdempotencyError, UnexpectedAnswerError } from "@oncekey/shared";
import type { EventCallbacks } from "./options/events.ts";

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
  /**
   * The result of an earlier operation of the same instance that was unresolved and had another identity. Only the run that
   * settled it has this result, and the runs in other tabs that waited for it.
   */
  readonly earlierResult?: Settled;
}

/** A result whose outcome is known. */
export type Settled = Done<unknown> | Rejected;

/** The operation happened, once. */
export type Done<Value> = Ended & {
  readonly kind: "done";
  /** Whether the server answered from its record. */
  readonly replayed: boolean;
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
   * The unresolved operation whose key was used: the client keeps it, and the next run settles it first. Only under
   * `onChange: 'hold'`, and for a body that replaced one which was not stored.
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

/** Options of one run. A second run joins the first one, and only the options of the first one apply. */
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
  /** Sends the stored request with its key again, or joins its live run. Without a record it works as that of an {@link Unknown} result. */
  readonly resume: (options?: RunOptions) => Promise<RunResult<unknown>>;
  /** Asks the server for the outcome and starts nothing. Only with `statusCheck: true`. */
  readonly check?: (options?: RunOptions) => Promise<RunResult<unknown>>;
  /** Gives the operation up, as `forget` of an {@link Unknown} result does: the next run may repeat it under a new key. */
  readonly forget: () => Promise<void>;
}
