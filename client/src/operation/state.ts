/** State of each operation for its observers: one for each instance, whichever run changes it. */
import { guard } from "../options/events.ts";
import type { Report } from "../options/events.ts";
import type { Done, Rejected, Unknown } from "../result.ts";
import type { Warn } from "../options/warnings.ts";

/** The state of an instance of an operation. Each state is one object until the next one replaces it. */
export type OperationState<Value, CanCheck extends boolean = boolean> =
  /** Nothing runs, and the client remembers nothing. */
  | { readonly kind: "idle" }
  /** The first attempt. The key is `undefined` until the client knows that no earlier one is left. */
  | { readonly kind: "sending"; readonly key: string | undefined }
  /** Another attempt: it waits until `retryAt`, or is under way if there is none. */
  | {
      readonly kind: "retrying";
      readonly key: string;
      readonly attempt: number;
      readonly retryAt?: Date;
    }
  /** A request was sent before, and the client asks the server for its outcome. */
  | { readonly kind: "checking"; readonly key: string }
  | { readonly kind: "settled"; readonly result: Done<Value> | Rejected }
  | { readonly kind: "unknown"; readonly result: Unknown<Value, CanCheck> };

/** A store for `useSyncExternalStore` and its like. Its functions need no `this`. */
export interface OperationStore<Value, CanCheck extends boolean = boolean> {
  readonly getState: () => OperationState<Value, CanCheck>;
  /** Calls `listener` after each change, until the returned function is called. */
  readonly subscribe: (listener: () => void) => () => void;
  /** Sets a settled state to idle. Does nothing while a run is live or its outcome unknown. */
  readonly reset: () => void;
}

/** The states of a client's operations, by the name of the record and the identity of the input. */
export interface OperationStates {
  readonly get: (id: string, identity: string) => OperationState<unknown>;
  readonly set: (id: string, identity: string, state: OperationState<unknown>) => void;
  readonly observe: (id: string, identity: string) => OperationStore<unknown>;
  /** Whether every operation of the client is idle. */
  readonly isIdle: () => boolean;
  /** Calls `listener` after each change of any operation, until the returned function is called. */
  readonly watch: (listener: () => void) => () => void;
  /** Sets everything whose name begins with a prefix to idle. */
  readonly clear: (prefix: string) => void;
}

interface Entry {
  state: OperationState<unknown>;
  readonly listeners: Set<() => void>;
}

export const IDLE: OperationState<never> = Object.freeze({ kind: "idle" });

/** Number of ended states without a subscriber that are kept for a page that looks again. */
const KEPT = 50;

export function createStates(warn: Warn): OperationStates {
  const entries = new Map<string, Entry>();
  const watchers = new Set<() => void>();

  const nameOf = (id: string, identity: string): string => `${id} ${identity}`;

  function isAtRest({ state, listeners }: Entry): boolean {
    return listeners.size === 0 && ["idle", "settled", "unknown"].includes(state.kind);
  }

  function tidy(name: string, entry: Entry): void {
    if (!isAtRest(entry)) return;
    // To the end of the order: those that ended first are given up first.
    entries.delete(name);
    if (entry.state !== IDLE) entries.set(name, entry);
    const resting = [...entries].filter(([, other]) => isAtRest(other));
    for (const [old] of resting.slice(0, -KEPT)) entries.delete(old);
  }

  function entryOf(name: string): Entry {
    const entry = entries.get(name) ?? { state: IDLE, listeners: new Set() };
    entries.set(name, entry);
    return entry;
  }

  function set(name: string, state: OperationState<unknown>): void {
    const entry = entryOf(name);
    if (entry.state === state) return;
    entry.state = state;
    for (const listener of [...entry.listeners, ...watchers]) guard(warn, listener);
    tidy(name, entry);
  }

  const get = (name: string): OperationState<unknown> => entries.get(name)?.state ?? IDLE;

  return {
    get: (id, identity) => get(nameOf(id, identity)),
    set: (id, identity, state) => set(nameOf(id, identity), state),
    isIdle: () => [...entries.values()].every(({ state }) => state === IDLE),
    watch: (listener) => add(watchers, listener),
    observe(id, identity) {
      const name = nameOf(id, identity);
      return {
        getState: () => get(name),
        subscribe(listener) {
          const entry = entryOf(name);
          const remove = add(entry.listeners, listener);
          return () => {
            remove();
            tidy(name, entry);
          };
        },
        reset() {
          if (get(name).kind === "settled") set(name, IDLE);
        },
      };
    },
    clear(prefix) {
      // A copy: what becomes idle may leave the map.
      for (const name of Array.from(entries.keys()).filter((one) => one.startsWith(prefix))) {
        set(name, IDLE);
      }
    },
  };
}

function add(listeners: Set<() => void>, listener: () => void): () => void {
  // A function of its own: the same listener may subscribe twice.
  const own = (): void => listener();
  listeners.add(own);
  return () => void listeners.delete(own);
}

/** Turns the events of the retry loop into states. `isUnresolved`: an earlier run sent this key. */
export function createTracker(
  setState: (state: OperationState<unknown>) => void,
  key: string,
  isUnresolved: boolean,
): Report {
  const checking = { kind: "checking", key } as const;
  let isChecking = isUnresolved;
  return (event) => {
    const { kind, attempt } = event;
    if (kind === "outcome") return;
    isChecking ||= kind === "wait" && event.reason === "in-flight";
    if (isChecking) return setState(checking);
    if (kind === "attempt" && attempt === 1) return setState({ kind: "sending", key });
    const retryAt = kind === "wait" ? { retryAt: new Date(Date.now() + event.waitMs) } : {};
    return setState({ kind: "retrying", key, attempt, ...retryAt });
  };
}
