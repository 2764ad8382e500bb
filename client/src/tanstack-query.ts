/** An operation as a mutation of TanStack Query, for every framework that it supports. */
import type { Done, Operation, RunResult } from "./index.ts";
import { checkOptions, oneOf } from "./validation/check.ts";

/** Options for `useMutation` and its like. */
export interface OperationMutationOptions<Input, Data> {
  readonly mutationKey: readonly ["oncekey", string];
  /** Rejects with an `IdempotencyError` if the result is not `done`; {@link resultOf} has the result of that error. */
  readonly mutationFn: (input: Input) => Promise<Data>;
  /** The operation retries by itself, with one key. */
  readonly retry: false;
  /** The operation decides by itself what it does offline. */
  readonly networkMode: "always";
}

/** The choice of the mutation's `data`. */
export interface MutationDataOptions<Data extends "value" | "result"> {
  /**
   * `'value'`, or `'result'`: the whole `done` result, with `replayed` and `status`. An answer that does not match the schema of the
   * operation is an error with `'value'`, and has `valueError` with `'result'`.
   *
   * @default 'value'
   */
  readonly data?: Data | undefined;
}

/** As much of a `QueryClient` as {@link resumeOperationMutations} needs. */
export interface MutationHolder {
  readonly getMutationCache: () => {
    readonly findAll: (filters: {
      readonly mutationKey: readonly unknown[];
      readonly status: "pending";
    }) => readonly { readonly continue: () => Promise<unknown> }[];
  };
}

const results = new WeakMap<object, RunResult<unknown>>();

/**
 * Returns the options of a mutation that runs an operation. The client's storage holds the key, not the mutation. So a second
 * `mutate` with the same input joins the first, and a dehydrated mutation resumes under its key.
 *
 * @throws TypeError that names a wrong option and what is allowed.
 * @example
 * const { mutate, data, error } = useMutation(operationMutationOptions(placeOrder))
 */
export function operationMutationOptions<Input, Value>(
  operation: Operation<Input, Value>,
  options?: MutationDataOptions<"value">,
): OperationMutationOptions<Input, Value>;
export function operationMutationOptions<Input, Value>(
  operation: Operation<Input, Value>,
  options: MutationDataOptions<"result">,
): OperationMutationOptions<Input, Done<Value>>;
export function operationMutationOptions<Input>(
  operation: Operation<Input, unknown>,
  options: MutationDataOptions<"value" | "result"> = {},
): OperationMutationOptions<Input, unknown> {
  checkOptions(options, { data: oneOf("value", "result") }, "");
  return {
    mutationKey: ["oncekey", operation.name],
    async mutationFn(input) {
      const result = await operation.run(input);
      if (result.kind === "done" && options.data === "result") return result;
      if (result.kind === "done" && result.valueError === undefined) return result.value;
      const error = result.kind === "done" ? result.valueError : result.error;
      results.set(error, result);
      throw error;
    },
    retry: false,
    networkMode: "always",
  };
}

/**
 * Returns the result behind the error of a mutation in this page: `unknown` with `resume` and `forget`, `rejected` with
 * `earlierResult` or `earlier`, or `done` with `valueError`. `undefined` for every other error.
 *
 * @example
 * const result = resultOf(mutation.error)
 * if (result?.kind === "unknown") return <button onClick={() => result.resume()}>Ask again</button>
 */
export function resultOf(error: unknown): RunResult<unknown> | undefined {
  return typeof error === "object" && error !== null ? results.get(error) : undefined;
}

/**
 * Resumes the mutations that were pending when the page was dehydrated, paused or under way; `resumePausedMutations` knows only the
 * paused ones. Set the mutation defaults and hydrate the state before. Never rejects: each mutation has its own outcome.
 *
 * @example
 * queryClient.setMutationDefaults(["oncekey", placeOrder.name], operationMutationOptions(placeOrder))
 * hydrate(queryClient, state) // dehydrated with { shouldDehydrateMutation: ({ state }) => state.status === "pending" }
 * await resumeOperationMutations(queryClient)
 */
export async function resumeOperationMutations(queryClient: MutationHolder): Promise<void> {
  const filters = { mutationKey: ["oncekey"], status: "pending" } as const;
  const pending = queryClient.getMutationCache().findAll(filters);
  await Promise.allSettled(pending.map((mutation) => mutation.continue()));
}
