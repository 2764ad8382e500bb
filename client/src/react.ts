/** An operation in a React component. */
import { useCallback, useInsertionEffect, useMemo, useRef, useSyncExternalStore } from "react";
import type { Operation, OperationState, OperationStore, RunOptions, RunResult } from "./index.ts";
import { isSameInput } from "./validation/same-input.ts";

/** The state of an operation, and the functions that change it. */
export interface UsedOperation<Value, CanCheck extends boolean = boolean> {
  /** The state of this input, whichever component, page or tab runs it. `idle` while there is no input, and on a server. */
  readonly state: OperationState<Value, CanCheck>;
  /**
   * Runs the operation with the input of the last render. Stays the same function through all renders. Unmounting the component does
   * not end the run.
   *
   * @throws TypeError, by rejecting, if there is no input yet, or if the operation's functions return what cannot be sent again.
   */
  readonly run: (options?: RunOptions) => Promise<RunResult<Value, CanCheck>>;
  /** Sets a settled state to idle, in every component that shows this input. Stays the same function through all renders. */
  readonly reset: () => void;
}

const IDLE = Object.freeze({ kind: "idle" });

/**
 * Follows the state of an input of an operation, and runs it. Never throws while rendering, and never builds the request then. Needs
 * React 18 or later.
 *
 * @param input `undefined` or `null`: not there yet.
 * @example
 * const { state, run } = useOperation(placeOrder, cart)
 * return <button disabled={state.kind === "sending"} onClick={() => void run()}>Pay</button>
 */
export function useOperation<Value, CanCheck extends boolean>(
  operation: Operation<void, Value, CanCheck>,
): UsedOperation<Value, CanCheck>;
export function useOperation<Input, Value, CanCheck extends boolean>(
  operation: Operation<Input, Value, CanCheck>,
  input: Input | null | undefined,
): UsedOperation<Value, CanCheck>;
export function useOperation(
  operation: Operation<never, unknown>,
  ...given: readonly [input?: unknown]
): UsedOperation<unknown> {
  const [input] = given;
  const isMissing = given.length > 0 && (input === undefined || input === null);
  const shown = useRef<Shown>(undefined);
  const isVolatile = useRef(false);
  const view = useMemo(() => {
    const before = shown.current;
    // The store of an equal input stays, or each render with a new object would subscribe anew.
    const isSame = before?.operation === operation && isSameInput(before.input, input);
    if (before && isSame) return before.view;
    const store = operation.observe(...(given as [never]));
    return createView(store, before?.view, isVolatile);
  }, [operation, input]);
  // Before any other effect can run it, and only for a render that is shown.
  useInsertionEffect(() => {
    shown.current = { operation, input, isMissing, view };
  });
  const state = useSyncExternalStore<OperationState<unknown>>(
    view.subscribe,
    view.getState,
    () => IDLE,
  );
  const run = useCallback((options?: RunOptions) => {
    const { current } = shown;
    if (!current || current.isMissing)
      return Promise.reject(new TypeError("useOperation has no input to run yet"));
    return current.operation.run(current.input as never, options);
  }, []);
  const reset = useCallback(() => shown.current?.view.reset(), []);
  return { state, run, reset };
}

/** The last render that is shown. */
interface Shown {
  readonly operation: Operation<never, unknown>;
  readonly input: unknown;
  readonly isMissing: boolean;
  readonly view: OperationStore<unknown>;
}

/**
 * Makes a store that is idle until the component subscribes, in an effect: only then may the request of the input be built.
 *
 * If a changed input has the state that was shown before, the component makes a new input in each render. Its requests are then built
 * while rendering. Otherwise its state would alternate with idle for ever.
 */
function createView(
  store: OperationStore<unknown>,
  before: OperationStore<unknown> | undefined,
  isVolatile: { current: boolean },
): OperationStore<unknown> {
  let isOpen = isVolatile.current;
  let previous = isOpen ? undefined : before?.getState();
  return {
    ...store,
    getState: () => (isOpen ? store.getState() : IDLE),
    subscribe(listener) {
      isOpen = true;
      const state = store.getState();
      if (state.kind !== "idle" && state === previous) isVolatile.current = true;
      previous = undefined;
      return store.subscribe(listener);
    },
  };
}
