/** The client: what all operations share, and the calls that a page makes. */
import { createRetryBudget } from "./backoff.ts";
import { createCoalescer } from "./coalesce.ts";
import {
  accept,
  checkClientOptions,
  checkOptions,
  resolvePolicy,
  RETRY_CHECKS,
} from "./options.ts";
import type { ClientOptions, RetryOptions, RetryPolicy } from "./options.ts";
import { forgetRecord, resumeRecord, runWish } from "./operation.ts";
import type { OperationParts } from "./operation.ts";
import { createPlainCall } from "./plain-call.ts";
import type { PlainCall } from "./plain-call.ts";
import { createShelf, recordId } from "./record.ts";
import { repeat } from "./repeat.ts";
import { canonicalJson, prepareRequest } from "./request.ts";
import type { RequestSpec } from "./request.ts";
import type { PendingOperation, RunOptions, RunResult } from "./result.ts";
import { createSend } from "./send.ts";
import { memoryStorage } from "./storage/memory.ts";
import { createWarn } from "./warning.ts";

/** What an operation is. */
export interface OperationOptions<Input> extends RetryOptions {
  /**
   * The request for an input. Called at each run; what it returned when the key was minted is written down, and sent on every
   * attempt under that key, whatever it returns later.
   */
  readonly request: (input: Input) => RequestSpec;
  /** Which one it is, not empty: of one instance there is one live operation at a time. Default: its identity. */
  readonly instance?: (input: Input) => string;
  /** What makes it the same operation, so that a changed cart is told from a second click. Default: the request. */
  readonly identity?: (input: Input) => unknown;
}

/** Runs an operation. A second run of a live instance with the same identity, in the same tick or later, is the same promise. */
export interface Run<Input, Value> {
  /**
   * Never rejects for anything that a network or a server does. An unresolved record of the instance is settled first, under its
   * own key; where that stays unknown, it is the result.
   *
   * @throws TypeError if the operation's functions return what cannot be sent again.
   */
  (input: Input, options?: RunOptions): Promise<RunResult<Value>>;
  /**
   * The value alone.
   *
   * @throws IdempotencyError where the result is not `done`; `OutcomeUnknownError` and others with `nextAction: 'resume'`
   * mean that it may have happened, and that running it again goes on with the same key.
   */
  readonly orThrow: (input: Input, options?: RunOptions) => Promise<Value>;
}

/** An operation of a client, by its name. */
export interface Operation<Input, Value> {
  readonly name: string;
  readonly run: Run<Input, Value>;
}

/** What {@link createClient} makes. Its functions need no `this`. */
export interface Client {
  /**
   * Defines an operation: one key from the first click to the settled outcome.
   *
   * @param name names its records; keep it through releases.
   * @throws TypeError or RangeError if an option is wrong, or the name is taken.
   */
  readonly operation: <Input, Value = unknown>(
    name: string,
    options: OperationOptions<Input>,
  ) => Operation<Input, Value>;
  /**
   * What was left unfinished, by an earlier page or by a run that ended in `unknown`, oldest first. What runs right now is not
   * among it. Operations need not be defined for it.
   */
  readonly pending: () => Promise<PendingOperation[]>;
  /** Calls without an operation, by their methods: one key for one call. Nothing of them is kept through a reload. */
  readonly post: PlainCall;
  readonly put: PlainCall;
  readonly patch: PlainCall;
  readonly delete: PlainCall;
}

/**
 * Makes a client. Create one for the whole application: operations coalesce, and retries are bounded, within it.
 *
 * @throws TypeError or RangeError that names a wrong option and what is allowed.
 */
export function createClient(options: ClientOptions = {}): Client {
  checkClientOptions(options);
  const { baseUrl, fetch, credentials, headers, keyFormat = "bare", key = "v7" } = options;
  const warn = createWarn(options.onWarning);
  const loop = {
    send: createSend({ fetch, credentials, headers, keyFormat }),
    repeat,
    budget: createRetryBudget(options.retryBudget ?? 10),
    warn,
  };
  const shelf = createShelf(options.storage ?? memoryStorage(), warn);
  const parts: OperationParts = { loop, shelf, live: createCoalescer(), key };
  const policies = new Map<string, RetryPolicy>();
  const call = (method: "POST" | "PUT" | "PATCH" | "DELETE"): PlainCall =>
    createPlainCall({ loop, key, baseUrl, policy: resolvePolicy(options), method });

  return Object.freeze({
    operation<Input, Value>(name: string, own: OperationOptions<Input>): Operation<Input, Value> {
      checkOperation(name, own, policies);
      const policy = resolvePolicy(options, own);
      policies.set(name, policy);
      return { name, run: createRun<Input, Value>(parts, name, own, policy, baseUrl) };
    },
    async pending() {
      const records = await shelf.list();
      return records
        .filter((record) => !parts.live.isLive(recordId(record.operation, record.instance)))
        .toSorted((a, b) => a.createdAt - b.createdAt)
        .map((record): PendingOperation => {
          const policy = policies.get(record.operation) ?? resolvePolicy(options);
          return {
            operation: record.operation,
            instance: record.instance,
            key: record.key,
            createdAt: new Date(record.createdAt),
            resume: (run = {}) => resumeRecord(parts, record, policy, run),
            forget: () => forgetRecord(parts, record),
          };
        });
    },
    post: call("POST"),
    put: call("PUT"),
    patch: call("PATCH"),
    delete: call("DELETE"),
  });
}

function createRun<Input, Value>(
  parts: OperationParts,
  operation: string,
  own: OperationOptions<Input>,
  policy: RetryPolicy,
  baseUrl: string | undefined,
): Run<Input, Value> {
  // Not async: a second run in the same tick is to be the very same promise.
  function start(input: Input, options: RunOptions = {}): Promise<RunResult<Value>> {
    try {
      const request = prepareRequest(own.request(input), baseUrl);
      const identity = canonicalJson(own.identity === undefined ? request : own.identity(input));
      const instance = own.instance === undefined ? identity : own.instance(input);
      if (typeof instance !== "string" || instance === "") {
        throw new TypeError(`${operation}.instance must return a string that is not empty`);
      }
      const wish = { operation, instance, identity, request };
      return runWish(parts, wish, policy, options) as Promise<RunResult<Value>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }
  return Object.assign(start, {
    async orThrow(input: Input, options?: RunOptions): Promise<Value> {
      const result = await start(input, options);
      if (result.kind === "done") return result.value;
      throw result.error;
    },
  });
}

function checkOperation(
  name: unknown,
  options: { readonly request?: unknown },
  taken: ReadonlyMap<string, unknown>,
): void {
  if (typeof name !== "string" || name === "") {
    throw new TypeError(
      `the name of an operation must be a string that is not empty, got ${String(name)}`,
    );
  }
  if (taken.has(name)) throw new TypeError(`operation ${name} is defined already`);
  const isFunction = accept((value) => typeof value === "function", "a function of the input");
  const checks = {
    ...RETRY_CHECKS,
    request: isFunction,
    instance: isFunction,
    identity: isFunction,
  };
  checkOptions(options, checks, `${name}.`);
  if (options.request === undefined) throw new TypeError(`option ${name}.request is required`);
}
