/** Defines operations, and turns a click into a run. */
import { LIFE_CHECKS } from "../options/client-options.ts";
import type { LifeOptions, OperationPolicy } from "../options/client-options.ts";
import { RETRY_CHECKS } from "../options/retry-options.ts";
import type { RetryOptions } from "../options/retry-options.ts";
import { digest } from "../records/record-names.ts";
import type { RunOptions, RunResult } from "./result.ts";
import { accept, checkOptions, isFilled, isFunction } from "../validation/check.ts";
import { isSchema } from "../validation/schema.ts";
import type { ResponseSchema } from "../validation/schema.ts";
import { canonicalJson, prepareRequest } from "../wire/request.ts";
import type { RequestMethod, RequestSpec, UrlBase } from "../wire/request.ts";
import { identityOf, isComparable } from "./identity.ts";
import { nextMoment } from "./operation-run.ts";
import type { ClientContext, Definition, OperationInstance } from "./operation-run.ts";
import { runOperation } from "./run.ts";
import type { Preparation } from "./run.ts";
import type { SettledCallback } from "./settlements.ts";
import type { OperationStore } from "./state.ts";

/** Options of an operation, besides the schema of its answer. */
export interface OperationOptions<
  Input,
  StatusCheck extends boolean | undefined = boolean | undefined,
  Spec extends RequestSpec = RequestSpec,
>
  extends RetryOptions, LifeOptions<StatusCheck> {
  /**
   * Returns the request for an input. Called at each run; the request at the time when the key was minted is stored and sent with
   * every attempt under that key.
   */
  readonly request: (input: Input) => Spec & Unexpected<Spec>;
  /**
   * Names the instance, such as the cart; not empty. An instance has one live operation at a time, and its key is remembered
   * after `done`. Default: the identity.
   */
  readonly instance?: ((input: Input) => string) | undefined;
  /**
   * Returns what makes two inputs the same operation: a JSON value, compared as JSON. Give it if the body holds what changes by
   * itself, such as a payment token. Default: method, target and `json`, whatever the order of its members; neither headers nor
   * origin.
   */
  readonly identity?: ((input: Input) => unknown) | undefined;
  /**
   * Makes the key itself, 1–255 visible ASCII characters, for example `v5(order.id, SHOP)`. Default: the client's `key`, a new one for
   * each operation.
   */
  readonly key?: ((input: Input) => string) | undefined;
  /**
   * A Standard Schema, such as one of zod or valibot: types and checks `value`. An answer with the echoed key that does not match is
   * `done` with `valueError`; without the echo it is `unknown`. Default: no check, and the value is of type `Value | undefined`.
   */
  readonly response?: ResponseSchema<unknown> | undefined;
}

/** The one place that hears of settled operations. */
export interface SettledOptions<Input, Value> {
  /**
   * Called once in this page for every operation that settles: by a run, a resume, another tab, or `resumeAll()`. The place that empties
   * the cart and shows the receipt. Default: none.
   */
  readonly onSettled?: SettledCallback<Input, Value> | undefined;
}

/** Makes unknown members and methods of a request type errors: functions that return an object allow them otherwise. */
type Unexpected<Spec> = { readonly [Member in Exclude<keyof Spec, keyof RequestSpec>]: never } & {
  readonly method?: Spec extends { readonly method: infer Method extends string }
    ? string extends Method
      ? string
      : RequestMethod
    : RequestSpec["method"];
};

/** Runs an operation. A second run of a live instance with the same identity, in the same tick or later, is the same promise. */
export interface Run<Input, Value, CanCheck extends boolean = boolean> {
  /**
   * Never rejects for anything that a network or a server does. An unresolved record of the instance comes first, under its own key.
   * If its outcome stays unknown, that is the result.
   *
   * @throws TypeError if the operation's functions return a value that cannot be sent again.
   */
  (input: Input, options?: RunOptions): Promise<RunResult<Value, CanCheck>>;
  /**
   * Resolves to the value alone.
   *
   * @throws IdempotencyError if the result is not `done`. With `nextAction: 'resume'` the operation may
   * have happened, and another run goes on with the same key.
   * @throws UnexpectedAnswerError if the operation happened and its answer does not match the schema.
   */
  readonly orThrow: (input: Input, options?: RunOptions) => Promise<Value>;
}

/** An operation of a client, by its name. */
export interface Operation<Input, Value, CanCheck extends boolean = boolean> {
  readonly name: string;
  readonly run: Run<Input, Value, CanCheck>;
  /**
   * Returns the state of an input, whichever run changes it. A state that has ended is kept while a listener is subscribed, and the
   * last 50 without one. Never throws: an input that is `undefined` or `null`, or that has no valid request, is idle.
   */
  readonly observe: (input: Input | null | undefined) => OperationStore<Value, CanCheck>;
}

/** `true` if results certainly have `check`, by the operation's own `statusCheck` and that of its client. */
export type HasCheck<StatusCheck, Client extends boolean> = [StatusCheck] extends [true]
  ? true
  : [StatusCheck] extends [boolean]
    ? boolean
    : Client;

/**
 * Defines an operation: one key from the first click to the settled outcome. The value is typed by the schema, or by the second type
 * argument, and is then also `undefined`: an answer may have no body.
 *
 * A definition that is evaluated again, as under fast refresh, replaces the first one.
 *
 * @param name Name of the records of the operation: keep it through releases.
 * @throws TypeError or RangeError if an option is wrong.
 * @example
 * const placeOrder = shop.operation("place-order", {
 *   request: (cart: Cart) => ({ path: "orders", json: cart }),
 *   response: z.object({ id: z.number() }),
 * })
 */
export interface DefineOperation<CanCheck extends boolean = boolean> {
  <
    Input = void,
    Value = unknown,
    const StatusCheck extends boolean | undefined = boolean | undefined,
    const Spec extends RequestSpec = RequestSpec,
  >(
    name: string,
    options: OperationOptions<Input, StatusCheck, Spec> & {
      readonly response: ResponseSchema<Value>;
    } & SettledOptions<Input, NoInfer<Value>>,
  ): Operation<Input, Value, HasCheck<StatusCheck, CanCheck>>;
  <
    Input = void,
    Value = unknown,
    const StatusCheck extends boolean | undefined = boolean | undefined,
    const Spec extends RequestSpec = RequestSpec,
  >(
    name: string,
    options: OperationOptions<Input, StatusCheck, Spec> & {
      readonly response?: ResponseSchema<Value> | undefined;
    } & SettledOptions<Input, NoInfer<Value> | undefined>,
  ): Operation<Input, Value | undefined, HasCheck<StatusCheck, CanCheck>>;
}

/** Makes an operation whose options are checked already. */
export function defineOperation<Input, Value>(
  client: ClientContext,
  own: OperationOptions<Input> & SettledOptions<Input, Value>,
  { name, policy, base }: DefinitionParts,
): Operation<Input, Value> {
  const definition: Definition = { name, policy };
  client.settlements.listen(name, own.onSettled);

  function identify(input: Input): OperationInstance & Identified {
    const request = prepareRequest(own.request(input), base);
    if (own.identity === undefined && !isComparable(request)) {
      throw new TypeError(`${name}.identity is required for a Blob or a FormData`);
    }
    const same = own.identity ? canonicalJson(own.identity(input)) : identityOf(request);
    const identity = digest(same);
    const instance = own.instance === undefined ? identity : own.instance(input);
    isFilled(`what ${name}.instance returns`, instance);
    const owner = client.owner();
    const id = client.names.nameOf(owner, name, instance);
    return { client, definition, owner, instance, id, identity, request };
  }
  // Not async: a second run in the same tick has to be the same promise.
  function start(input: Input, options: RunOptions = {}): Promise<RunResult<Value>> {
    try {
      const { request, ...identified } = identify(input);
      const makeKey = own.key && (() => own.key?.(input) ?? "");
      const asked = { mode: "run", input, makeKey, options, askedAt: nextMoment() } as const;
      return runOperation({ ...identified, ...asked }, request) as Promise<RunResult<Value>>;
    } catch (error) {
      return Promise.reject(error);
    }
  }
  async function orThrow(input: Input, options?: RunOptions): Promise<Value> {
    const result = await start(input, options);
    if (result.kind !== "done") throw result.error;
    if (result.valueError) throw result.valueError;
    return result.value;
  }
  return {
    name,
    run: Object.assign(start, { orThrow }),
    observe(...given: readonly [input?: Input | null | undefined]) {
      const [input] = given;
      // An operation without input is observed without an argument.
      const isMissing = given.length > 0 && (input === undefined || input === null);
      const find = isMissing ? undefined : () => identify(input as Input);
      return client.states.observe(find) as OperationStore<Value>;
    },
  };
}

interface DefinitionParts {
  readonly name: string;
  readonly policy: OperationPolicy;
  readonly base: UrlBase;
}

interface Identified {
  readonly identity: string;
  readonly request: Preparation;
}

/** @throws TypeError or RangeError that names a wrong option. */
export function checkOperation(name: string, options: { readonly request?: unknown }): void {
  isFilled("the name of an operation", name);
  const checks = {
    ...RETRY_CHECKS,
    ...LIFE_CHECKS,
    request: isFunction,
    instance: isFunction,
    identity: isFunction,
    key: isFunction,
    onSettled: isFunction,
    response: accept(isSchema, "a Standard Schema"),
  };
  checkOptions(options, checks, `${name}.`);
  if (options.request === undefined) throw new TypeError(`${name}.request is required`);
}
