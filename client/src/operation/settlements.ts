/** The one place that an application hears of settled operations: `onSettled`, once for each key. */
import type { Warn } from "../options/warnings.ts";
import type { Settled } from "./result.ts";

/** Second argument of {@link SettledCallback}. */
export interface SettledOperation<Input = unknown> {
  readonly instance: string;
  /** The input, if a run of this page settled the operation. */
  readonly input?: Input;
}

/** Called once for every operation that settles, by a run, a resume, another tab or the start-up. */
export type SettledCallback<Input, Value> = (
  result: Settled<Value>,
  about: SettledOperation<Input>,
) => unknown;

interface Settlement {
  readonly operation: string;
  readonly about: SettledOperation;
  readonly result: Settled;
}

export interface Settlements {
  /** Sets the callback of an operation; what settled before is reported now. */
  readonly listen: (operation: string, callback: SettledCallback<never, never> | undefined) => void;
  readonly report: (settlement: Settlement) => void;
  readonly clear: () => void;
}

/** Keys that are remembered as reported: more than a page settles while replays of them are likely. */
const KEPT = 500;

export function createSettlements(warn: Warn): Settlements {
  const callbacks = new Map<string, SettledCallback<unknown, unknown> | undefined>();
  const reported = new Set<string>();
  // The start-up may settle an operation before the module that defines it is evaluated.
  let early: Settlement[] = [];

  async function call({ operation, about, result }: Settlement): Promise<void> {
    try {
      await callbacks.get(operation)?.(result, about);
    } catch (cause) {
      warn({ code: "callback_failed", message: `onSettled of ${operation} threw`, cause });
    }
  }

  return {
    listen(operation, callback) {
      callbacks.set(operation, callback as SettledCallback<unknown, unknown> | undefined);
      const due = early.filter((one) => one.operation === operation);
      early = early.filter((one) => one.operation !== operation);
      // After the caller has the operation in its hands.
      if (due.length > 0) void Promise.resolve().then(() => due.forEach((one) => void call(one)));
    },
    report(settlement) {
      const { operation, result } = settlement;
      // A run that an earlier operation stood in the way of settled nothing of its own.
      if (result.kind === "rejected" && (result.earlier || result.earlierResult)) return;
      if (reported.has(result.key)) return;
      reported.add(result.key);
      for (const key of reported) if (reported.size > KEPT) reported.delete(key);
      if (callbacks.has(operation)) void call(settlement);
      else early.push(settlement);
    },
    clear() {
      reported.clear();
      early = [];
    },
  };
}
