import pRetry from "p-retry";

/** Calls `once` again and again until it has a result, and rejects where it does. */
export type Repeat = <Result>(once: () => Promise<Result | undefined>) => Promise<Result>;

/** Thrown to p-retry, which asks for an error. */
class NoResultError extends Error {}

/** By p-retry. It decides nothing: no limit, no wait and no signal of its own, which could cost a success that it interrupts. */
export const repeat: Repeat = (once) =>
  pRetry(
    async () => {
      const result = await once();
      if (result === undefined) throw new NoResultError();
      return result;
    },
    {
      retries: Number.POSITIVE_INFINITY,
      minTimeout: 0,
      shouldRetry: ({ error }) => error instanceof NoResultError,
    },
  );
