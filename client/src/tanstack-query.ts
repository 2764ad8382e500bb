/** An operation as a mutation of TanStack Query, whichever framework it is for. */
import type { Operation } from "./index.ts";

/** What {@link operationMutationOptions} returns: options for `useMutation` and its like. */
export interface OperationMutationOptions<Input, Value> {
  readonly mutationKey: readonly ["oncekey", string];
  /** Rejects with an `IdempotencyError` where the result is not `done`. */
  readonly mutationFn: (input: Input) => Promise<Value>;
  /** The operation retries by itself, with one key. */
  readonly retry: false;
  /** What it does offline is the operation's own matter, too. */
  readonly networkMode: "always";
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

/**
 * Options of a mutation that runs an operation. Its key is not the mutation's: it is kept in the client's storage, and found again by
 * the input. So a second `mutate` of the same input joins the first, and a mutation that was dehydrated goes on under its key.
 *
 * @example
 * const { mutate, data, error } = useMutation(operationMutationOptions(placeOrder))
 */
export function operationMutationOptions<Input, Value>(
  operation: Operation<Input, Value>,
): OperationMutationOptions<Input, Value> {
  return {
    mutationKey: ["oncekey", operation.name],
    mutationFn: (input) => operation.run.orThrow(input),
    retry: false,
    networkMode: "always",
  };
}

/**
 * Goes on with the operations that were pending when the page was dehydrated, paused or under way; `resumePausedMutations` knows
 * of the first alone. Before it, the mutation defaults have to be set, and the state hydrated. Never rejects: how each one ends is
 * in its mutation.
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
