/** What an operation is, and how an input of it becomes a wish to run. */
import { checkOptions, isFilled, isFunction } from "../validation/check.ts";
import { LIFE_CHECKS } from "../options/client-options.ts";
import type { LifeOptions, RetryPolicy } from "../options/client-options.ts";
import type { OperationParts } from "./exclusive-run.ts";
import type { OperationStore } from "./state.ts";
import { recordId } from "../records/record-store.ts";
import { canonicalJson, prepareRequest } from "../wire/request.ts";
import type { RequestSpec } from "../wire/request.ts";
import type { RunOptions, RunResult } from "../result.ts";
import { runWish } from "./run.ts";
import type { Wish } from "./run.ts";
import { RETRY_CHECKS } from "../options/retry-options.ts";
import type { RetryOptions } from "../options/retry-options.ts";

/** What an operation is. */
export interface OperationOptions<Input> extends RetryOptions, LifeOptions {
  /**
   * The request for an input. Called at each run; what it returned when the key was minted is written down, and sent on every
   * attempt under that key, whatever it returns later.
   */
  readonly request: (input: Input) => RequestSpec;
  /** Which one it is, not empty: of one instance there is one live operation at a time. Default: its identity. */
  readonly instance?: (input: Input) => string;
  /**
   * What makes it the same operation, so that a changed cart is told from a second click: a value that JSON has, compared as JSON.
   * Default: the request.
   */
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
  /**
   * Where the instance of an input stands, whoever runs it. What has ended is remembered for as long as somebody subscribes, and
   * the last 50 that nobody does.
   *
   * @throws TypeError if the operation's functions return what cannot be sent again.
   */
  readonly observe: (input: Input) => OperationStore<Value>;
}

/** The operation of a name, with its options already checked. */
export function defineOperation<Input, Value>(
  parts: OperationParts,
  name: string,
  own: OperationOptions<Input>,
  policy: RetryPolicy,
  baseUrl: string | undefined,
): Operation<Input, Value> {
  function toWish(input: Input): Wish {
    const request = prepareRequest(own.request(input), baseUrl);
    if (typeof request === "function" && own.identity === undefined) {
      throw new TypeError(`option ${name}.identity is required for a Blob or a FormData`);
    }
    const same = own.identity === undefined ? request : own.identity(input);
    const identity = parts.identify(canonicalJson(same));
    const instance = own.instance === undefined ? identity : own.instance(input);
    isFilled(`what ${name}.instance returns`, instance);
    return { operation: name, instance, identity, request };
  }
  // Not async: a second run in the same tick is to be the very same promise.
  function start(input: Input, options: RunOptions = {}): Promise<RunResult<Value>> {
    try {
      return runWish(parts, toWish(input), policy, options) as Promise<RunResult<Value>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }
  async function orThrow(input: Input, options?: RunOptions): Promise<Value> {
    const result = await start(input, options);
    if (result.kind === "done") return result.value;
    throw result.error;
  }
  return {
    name,
    run: Object.assign(start, { orThrow }),
    observe(input) {
      const wish = toWish(input);
      const store = parts.progress.observe(recordId(wish), wish.instance);
      return store as OperationStore<Value>;
    },
  };
}

/** @throws TypeError or RangeError that names a wrong option, or says that the name is taken. */
export function checkOperation(
  name: string,
  options: { readonly request?: unknown },
  taken: ReadonlyMap<string, unknown>,
): void {
  isFilled("the name of an operation", name);
  if (taken.has(name)) throw new TypeError(`operation ${name} is defined already`);
  const checks = {
    ...RETRY_CHECKS,
    ...LIFE_CHECKS,
    request: isFunction,
    instance: isFunction,
    identity: isFunction,
  };
  checkOptions(options, checks, `${name}.`);
  if (options.request === undefined) throw new TypeError(`option ${name}.request is required`);
}
