/** Drives the attempts with p-retry: counts, decides and waits. */
import pRetry from "p-retry";
import { isAgain } from "./again.ts";
import type { Again } from "./again.ts";

export interface Repetition<Result> {
  /** At most, polls not counted. */
  readonly attempts: number;
  readonly once: () => Promise<Result | Again>;
  /**
   * Waits for the next attempt, or returns how the loop ends if there is none.
   *
   * @param retriesConsumed how many retries there were before, polls not counted.
   */
  readonly next: (again: Again, retriesConsumed: number) => Promise<Result | undefined>;
}

/** Repeats attempts until one has a result, or until there is no next one. */
export type Repeat = <Result extends object>(repetition: Repetition<Result>) => Promise<Result>;

/** What p-retry catches. */
class AgainError extends Error {
  readonly again: Again;
  constructor(again: Again) {
    super(again.cause.message);
    this.again = again;
  }
}

/** Repeats by p-retry: it counts, and asks whether to retry. It has no signal, which could cost a success that it interrupts. */
export const repeat: Repeat = async <Result extends object>({
  attempts,
  once,
  next,
}: Repetition<Result>): Promise<Result> => {
  let end: Result | undefined;
  try {
    return await pRetry(
      async () => {
        const result = await once();
        if (isAgain(result)) throw new AgainError(result);
        return result;
      },
      {
        // One more than there are: a poll after the last attempt consumes none, and needs one that is left.
        retries: attempts,
        minTimeout: 0,
        shouldConsumeRetry: ({ error }) =>
          !(error instanceof AgainError && error.again.kind === "poll"),
        async shouldRetry({ error, retriesConsumed }) {
          if (!(error instanceof AgainError)) return false;
          end = await next(error.again, retriesConsumed);
          return end === undefined;
        },
      },
    );
  } catch (error) {
    if (end === undefined) throw error;
    return end;
  }
};
