/** Actions of a test on the bare page, in the page itself or in a worker of it. */
import type { FaultKind } from "../fault-proxy/fault.ts";
import type { Order } from "../shop/wire.ts";

/** Storage of the client's unfinished operations. */
export type Kept = "localStorage" | "IndexedDB";

/** Context in which the client runs, by default with `localStorage`. */
export type Place = Context | `${Context} with IndexedDB`;
type Context = "page" | "worker" | "service-worker";

export interface BareShop {
  /** Places the order; its attempts meet the faults in turn. */
  readonly run: (order: Order, ...faults: FaultKind[]) => Promise<Told>;
  /** The keys that were left unfinished. */
  readonly pending: () => Promise<string[]>;
  /** The start-up line of a page. */
  readonly resumeAll: () => Promise<void>;
  /** Settles what was left unfinished. */
  readonly resume: () => Promise<Told[]>;
  /** The codes of the warnings so far. */
  readonly warnings: () => Promise<string[]>;
}

/** A result, as far as it can leave the page. */
export interface Told {
  readonly kind: "done" | "rejected" | "unknown";
  readonly key: string;
  readonly attempts: number;
  readonly isReplayed: boolean;
  /** Of the receipt. */
  readonly charge: string | undefined;
  /** The code of the error, if there is one. */
  readonly error: string | undefined;
}

/** Function that the page puts into its global scope for a test to call. */
export type CallIn = (
  place: Place,
  method: keyof BareShop,
  values: readonly unknown[],
) => Promise<unknown>;

/** Runs the contract of storages in the page. Resolves to the titles of what holds, and to what was found where it does not. */
export type CheckStorage = (
  kept: Kept,
) => Promise<{ readonly right: string[]; readonly wrong: string[] }>;
