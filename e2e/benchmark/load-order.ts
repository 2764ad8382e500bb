/** Messages between the benchmark and its load generator. */

/** When no further request is sent: after a time in ms, or after a number of requests. */
export type Until = { readonly ms: number } | { readonly requests: number };

/** Requests by a number of connections, each of which sends its next request when the last one is answered. */
export interface LoadOrder {
  readonly kind: "load";
  readonly port: number;
  readonly path: string;
  readonly connections: number;
  /** A new UUID of that version for each request, or these, in turn. */
  readonly keys: "v4" | "v7" | readonly string[];
  readonly until: Until;
  /** Whether every reply has to be a replay, or none. `undefined`: does not matter. */
  readonly isReplay: boolean | undefined;
}

/** Duplicates of one slow request at once, and bystanders with keys of their own, one after the other begun. */
export interface StormOrder {
  readonly kind: "storm";
  readonly port: number;
  readonly path: string;
  readonly duplicates: number;
  readonly handlerMs: number;
  readonly bystanders: number;
  readonly gapMs: number;
  /** Whether each request of the storm has a key of its own, all in one scope. The bystanders are of another, on the same path. */
  readonly isOfOneScope?: boolean;
}

export type Order = LoadOrder | StormOrder;

export interface LoadResult {
  readonly kind: "load";
  readonly requests: number;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export interface StormResult {
  readonly kind: "storm";
  /** Time from the first duplicate to the last answer. */
  readonly stormMs: number;
  readonly besideMs: readonly number[];
}

export type Result = LoadResult | StormResult | { readonly kind: "error"; readonly reason: string };
