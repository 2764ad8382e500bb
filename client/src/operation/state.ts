/** State of each operation for its observers: one for each instance, whichever run changes it. */
import { guard } from "../options/events.ts";
import type { Report } from "../options/events.ts";
import type { Done, Rejected, Unknown } from "./result.ts";
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
  /**
   * Makes a store whose identity is computed, which takes a millisecond for a large cart, when the client has any state at all. Never
   * throws: an input without a valid request is idle.
   *
   * @param find returns the name and the identity of the input. `undefined`: the input is not there yet.
   */
  readonly observe: (find: Find | undefined) => OperationStore<unknown>;
  /** Sets everything whose name begins with a prefix to idle. */
  readonly clear: (prefix: string) => void;
}

type Find = () => { readonly id: string; readonly identity: string };

interface Observer {
  /** Notifies the listener if its state is another one than before. */
  readonly update: () => void;
  readonly name: () => string | undefined;
}

export const IDLE: OperationState<never> = Object.freeze({ kind: "idle" });

/** The state that never changes: of an input that is missing, or that the operation's functions refuse. */
const NOTHING = "";

/** Number of ended states without a subscriber that are kept for a page that looks again. */
const KEPT = 50;

export function createStates(warn: Warn): OperationStates {
  // In the order in which they changed.
  const states = new Map<string, OperationState<unknown>>();
  const observers = new Set<Observer>();

  const nameOf = (id: string, identity: string): string => `${id} ${identity}`;
  const get = (name: string | undefined): OperationState<unknown> =>
    states.get(name ?? NOTHING) ?? IDLE;

  function isAtRest(name: string): boolean {
    const { kind } = get(name);
    return (
      (kind === "settled" || kind === "unknown") &&
      ![...observers].some((observer) => observer.name() === name)
    );
  }

  function tidy(): void {
    const resting = [...states.keys()].filter(isAtRest);
    for (const name of resting.slice(0, -KEPT)) states.delete(name);
  }

  // At the end of the order: those that ended, or lost their last observer, first are given up first.
  function put(name: string, state: OperationState<unknown>): void {
    states.delete(name);
    if (state !== IDLE) states.set(name, state);
  }

  function set(name: string, state: OperationState<unknown>): void {
    if (get(name) === state) return;
    put(name, state);
    for (const { update } of observers) guard(warn, update);
    tidy();
  }

  return {
    get: (id, identity) => get(nameOf(id, identity)),
    set: (id, identity, state) => set(nameOf(id, identity), state),
    observe(find) {
      let found = find === undefined ? NOTHING : undefined;
      const name = (): string | undefined => {
        if (found !== undefined || states.size === 0) return found;
        try {
          const { id = "", identity = "" } = find?.() ?? {};
          found = nameOf(id, identity);
        } catch {
          found = NOTHING;
        }
        return found;
      };
      const getState = (): OperationState<unknown> => get(name());
      return {
        getState,
        subscribe(listener) {
          let last = getState();
          const observer: Observer = {
            name,
            update() {
              const before = last;
              last = getState();
              if (last !== before) listener();
            },
          };
          observers.add(observer);
          return () => {
            observers.delete(observer);
            put(name() ?? NOTHING, getState());
            tidy();
          };
        },
        reset() {
          const known = name();
          if (known !== undefined && get(known).kind === "settled") set(known, IDLE);
        },
      };
    },
    clear(prefix) {
      const names = Array.from(states.keys()).filter((name) => name.startsWith(prefix));
      for (const name of names) set(name, IDLE);
    },
  };
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
