/** An operation in a React component. */
import { useCallback, useInsertionEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { Operation, OperationState, RunOptions, RunResult } from "./index.ts";

/** What {@link useOperation} returns. */
export interface UsedOperation<Value> {
  /** Where the operation stands, whoever runs it: this component, another one, or one that is gone. */
  readonly state: OperationState<Value>;
  /**
   * Runs the operation with the input of the last render. One and the same function through all renders, so that it can be handed
   * on. It is not ended by an unmount: the page that comes back finds the state.
   *
   * @throws TypeError, by rejecting, if the operation's functions return what cannot be sent again.
   */
  readonly run: (options?: RunOptions) => Promise<RunResult<Value>>;
}

const IDLE = Object.freeze({ kind: "idle" });

/**
 * Follows one instance of an operation, the one of this input, and runs it. Needs React 18 or later. On a server, and while what it
 * rendered is hydrated, the state is `idle`.
 *
 * @throws TypeError, while rendering, if the operation's functions return for this input what cannot be sent again.
 * @example
 * const { state, run } = useOperation(placeOrder, cart)
 * return <button disabled={state.kind === "sending"} onClick={() => void run()}>Pay</button>
 */
export function useOperation<Input, Value>(
  operation: Operation<Input, Value>,
  input: Input,
): UsedOperation<Value> {
  const latest = useRef({ operation, input });
  // Before any other effect could run it, and only for what is really shown.
  useInsertionEffect(() => {
    latest.current = { operation, input };
  });
  const observed = operation.observe(input);
  // Stores of one instance are interchangeable: the first one stays, or each render would subscribe anew.
  const store = useMemo(() => observed, [operation, observed.instance]);
  const state = useSyncExternalStore<OperationState<Value>>(
    store.subscribe,
    store.getState,
    () => IDLE,
  );
  const run = useCallback((options?: RunOptions) => {
    const { current } = latest;
    return current.operation.run(current.input, options);
  }, []);
  return { state, run };
}
