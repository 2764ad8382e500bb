/** The codes of the contract and their properties: the one table that server and client share. */

/** The codes that a server can refuse with. */
export type ProblemCode =
  /** The route requires a key, and the request has none. */
  | "idempotency_key_required"
  /** The key is malformed, too long, or was sent twice. */
  | "idempotency_key_invalid"
  /** The request asks only for a stored response, and nothing is stored. */
  | "idempotency_not_found"
  /** The first request with this key still runs. */
  | "idempotency_in_flight"
  /** The key was used for another request. */
  | "idempotency_conflict"
  /** The key is older than the server accepts, or from the future. */
  | "idempotency_key_expired"
  /** The owner of the key crashed or its handler failed, and the route stays closed. */
  | "idempotency_outcome_unknown"
  /** The request was done with `originalStatus`, but its body could not be kept. */
  | "idempotency_response_not_stored"
  /**
   * The store is down, the pool or the scope's share of it is full, a commit failed or is not
   * answered yet, or the stored response cannot be decrypted.
   */
  | "idempotency_unavailable";

/**
 * Next action for the holder of the key: `wait` and send the same request again, `resume` the
 * operation that the key belongs to, or `rotate` to a new key. `fix`: no retry helps.
 */
export type NextAction = "wait" | "resume" | "rotate" | "fix";

/** Properties of one code. */
export interface CodeKind {
  readonly status: number;
  /** Whether the same request with the same key may succeed later. */
  readonly retryable: boolean;
  readonly nextAction: NextAction;
}

/** Properties of each code: status, next action, and whether it is retryable. */
const KINDS: Readonly<Record<ProblemCode, readonly [number, NextAction, true?]>> = {
  idempotency_key_required: [400, "fix"],
  idempotency_key_invalid: [400, "fix"],
  idempotency_not_found: [404, "resume"],
  idempotency_in_flight: [409, "wait", true],
  idempotency_conflict: [422, "rotate"],
  idempotency_key_expired: [412, "fix"],
  idempotency_outcome_unknown: [500, "fix"],
  idempotency_response_not_stored: [410, "fix"],
  idempotency_unavailable: [503, "wait", true],
};

/** Whether a value is one of the contract's codes. */
export function isProblemCode(value: unknown): value is ProblemCode {
  return typeof value === "string" && Object.hasOwn(KINDS, value);
}

/** Returns what is fixed for a code of the contract, and `undefined` for any other. */
export function kindOf(code: string | undefined): CodeKind | undefined {
  if (!isProblemCode(code)) return undefined;
  const [status, nextAction, retryable = false] = KINDS[code];
  return { status, retryable, nextAction };
}
