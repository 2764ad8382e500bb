/** Where each operation stands, for everybody who looks: one state an instance, whoever started the run. */
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

export interface Progress {
  set(id: string, state: OperationState<unknown>): void;
  observe(id: string): OperationStore<unknown>;
  /** Whether every operation of the client is idle. */
  isIdle(): boolean;
  /** Calls `listener` after each change of any operation, until the returned function is called. */
  watch(listener: () => void): () => void;
}

interface Entry {
  state: OperationState<unknown>;
  readonly listeners: Set<() => void>;
}

export const IDLE: OperationState<never> = Object.freeze({ kind: "idle" });

/** Ended states that nobody subscribes to are kept for a page that looks again, but not without end. */
const KEPT = 50;

export function createProgress(warn: Warn): Progress {
  const entries = new Map<string, Entry>();
  const watchers = new Set<() => void>();

  function isAtRest({ state, listeners }: Entry): boolean {
    return listeners.size === 0 && ["idle", "settled", "unknown"].includes(state.kind);
  }

  function tidy(id: string, entry: Entry): void {
    if (!isAtRest(entry)) return;
    // To the end of the order: those that ended first are given up first.
    entries.delete(id);
    if (entry.state !== IDLE) entries.set(id, entry);
    const resting = [...entries].filter(([, other]) => isAtRest(other));
    for (const [old] of resting.slice(0, -KEPT)) entries.delete(old);
  }

  function entryOf(id: string): Entry {
    const entry = entries.get(id) ?? { state: IDLE, listeners: new Set() };
    entries.set(id, entry);
    return entry;
  }

  function set(id: string, state: OperationState<unknown>): void {
    const entry = entryOf(id);
    if (entry.state === state) return;
    entry.state = state;
    for (const listener of [...entry.listeners, ...watchers]) guard(warn, listener);
    tidy(id, entry);
  }

  const getState = (id: string): OperationState<unknown> => entries.get(id)?.state ?? IDLE;

  return {
    set,
    isIdle: () => [...entries.values()].every(({ state }) => state === IDLE),
    watch: (listener) => add(watchers, listener),
    observe: (id) => ({
      getState: () => getState(id),
      subscribe(listener) {
        const entry = entryOf(id);
        const remove = add(entry.listeners, listener);
        return () => {
          remove();
          tidy(id, entry);
        };
      },
      reset() {
        if (getState(id).kind === "settled") set(id, IDLE);
      },
    }),
  };
}

function add(listeners: Set<() => void>, listener: () => void): () => void {
  // A function of its own: the same listener may subscribe twice.
  const own = (): void => listener();
  listeners.add(own);
  return () => void listeners.delete(own);
}

/** Turns what the loop tells into states. `isUnresolved`: an earlier run sent this key. */
export function createTracker(
  progress: Progress,
  id: string,
  key: string,
  isUnresolved: boolean,
): Report {
  const checking = { kind: "checking", key } as const;
  let isChecking = isUnresolved;
  return (event) => {
    const { kind, attempt } = event;
    if (kind === "outcome") return;
    isChecking ||= kind === "wait" && event.reason === "in-flight";
    if (isChecking) return progress.set(id, checking);
    if (kind === "attempt" && attempt === 1) return progress.set(id, { kind: "sending", key });
    const retryAt = kind === "wait" ? { retryAt: new Date(Date.now() + event.waitMs) } : {};
    return progress.set(id, { kind: "retrying", key, attempt, ...retryAt });
  };
}
