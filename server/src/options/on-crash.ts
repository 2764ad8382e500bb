/** The `onCrash` option: its types, and the context of its function. */
import type { FastifyRequest } from "fastify";

/** The request whose owner crashed. */
export interface CrashContext {
  readonly key: string;
  readonly scope: string;
  readonly target: string;
  /**
   * Number of times the handler has been started so far.
   *
   * @range from 1
   */
  readonly attempts: number;
  /** The retry that found it. `undefined` if crash recovery asks: then `'rerun'` leaves the key to the next retry. */
  readonly request: FastifyRequest | undefined;
  /** The same as `request.idempotency.deriveKey`: to ask downstream what came of it. */
  readonly deriveKey: (name: string) => string;
}

/** A response found out some other way; it is stored and answered as if the handler had given it. */
export interface CrashResponse {
  readonly status: number;
  /** Headers that `storeHeaders` does not name are left out. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Text and bytes as they are, anything else as JSON. Above `maxResponseBytes` it is answered and not kept. */
  readonly body?: unknown;
}

export type CrashDecision = "rerun" | "fail" | CrashResponse;

/** `'rerun'`, `'fail'`, or a function that finds out and decides. */
export type OnCrash =
  | "rerun"
  | "fail"
  | ((context: CrashContext) => CrashDecision | Promise<CrashDecision>);
