import pRetry from "p-retry";

/** Runs `once` again after each rejection for as long as `mayGoOn` says so, and rejects with the last one otherwise. */
export type Repeat = (once: () => Promise<void>, mayGoOn: () => Promise<boolean>) => Promise<void>;

/** By p-retry. It decides nothing: no limit, no wait and no signal of its own, which could cost a success that it interrupts. */
export const repeat: Repeat = (once, mayGoOn) =>
  pRetry(once, { retries: Number.POSITIVE_INFINITY, minTimeout: 0, shouldRetry: mayGoOn });
