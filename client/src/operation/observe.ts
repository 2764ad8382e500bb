/** A store that finds out which state belongs to an input only when there can be one. */
import { IDLE } from "./state.ts";
import type { OperationState, OperationStore, OperationStates } from "./state.ts";

/** The state that never changes: of an input that is missing, or that the operation's functions refuse. */
const NOTHING: OperationStore<never> = Object.freeze({
  getState: () => IDLE,
  subscribe: () => () => undefined,
  reset: () => undefined,
});

/**
 * Makes a store whose identity is computed, which takes a millisecond for a large cart, when the client has any state at all. Never
 * throws: an input without a valid request is idle.
 *
 * @param find builds the request of the input and returns the store of its identity. `undefined`: the input is not there yet.
 */
export function observeLazily(
  states: OperationStates,
  find: (() => OperationStore<unknown>) | undefined,
): OperationStore<unknown> {
  if (find === undefined) return NOTHING;
  let found: OperationStore<unknown> | undefined;

  function resolve(): OperationStore<unknown> | undefined {
    if (found !== undefined || states.isIdle()) return found;
    try {
      found = find?.();
    } catch {
      found = NOTHING;
    }
    return found;
  }

  const getState = (): OperationState<unknown> => resolve()?.getState() ?? IDLE;
  return {
    getState,
    reset: () => resolve()?.reset(),
    subscribe(listener) {
      let unsubscribe = resolve()?.subscribe(listener);
      unsubscribe ??= states.watch(() => {
        const store = resolve();
        if (store === undefined) return;
        unsubscribe?.();
        unsubscribe = store.subscribe(listener);
        if (store.getState() !== IDLE) listener();
      });
      return () => unsubscribe?.();
    },
  };
}
