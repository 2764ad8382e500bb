/** The codes of the contract and their properties: the one table that server and client share. */

/** The codes that a server can refuse with. */
export type ProblemCode =
  | "idempotency_key_required"
  | "idempotency_key_invalid"
  | "idempotency_not_found"
  | "idempotency_in_flight"
  | "idempotency_conflict"
  | "idempotency_key_expired"
  | "idempotency_outcome_unknown"
  | "idempotency_response_not_stored"
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
  idempotency_response_not_stored: [410, "rotate"],
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
