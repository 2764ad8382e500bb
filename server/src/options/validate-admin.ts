/** Validates what `app.idempotency` and the command are asked for. */

const STATES: readonly unknown[] = ["running", "crashed", "failed", "finished", "tombstone"];
const MAX_BY = 200;
const MAX_REASON = 1_000;

/** @throws TypeError if `by` or `reason` is missing or too long. */
export function checkDecision(given: object | undefined): void {
  const { by, reason } = (given ?? {}) as Record<string, unknown>;
  checkText("by", by, MAX_BY);
  checkText("reason", reason, MAX_REASON);
}

function checkText(name: string, value: unknown, max: number): void {
  if (typeof value === "string" && value.trim() !== "" && value.length <= max) return;
  throw new TypeError(`${name} must be 1 to ${max} characters, got ${show(value)}`);
}

/** @throws TypeError or RangeError that names the member, what is allowed and what was given. */
export function checkList(query: object): void {
  const { state, olderThan, limit } = query as Record<string, unknown>;
  if (state !== undefined && !STATES.includes(state))
    throw new TypeError(`state must be one of ${STATES.join(", ")}, got ${show(state)}`);
  if (olderThan !== undefined && !(typeof olderThan === "number" && olderThan >= 0))
    throw new RangeError(`olderThan must be a number of ms from 0, got ${show(olderThan)}`);
  if (
    limit !== undefined &&
    !(Number.isInteger(limit) && Number(limit) >= 1 && Number(limit) <= 1_000)
  )
    throw new RangeError(`limit must be a whole number from 1 to 1000, got ${show(limit)}`);
}

/** @throws TypeError or RangeError for an address without target, or a status that no handler's stored answer has. */
export function checkResolution(address: object, response: object | undefined): void {
  const { target } = address as Record<string, unknown>;
  if (typeof target !== "string")
    throw new TypeError(`address.target must be method and path, got ${show(target)}`);
  const { status } = (response ?? {}) as Record<string, unknown>;
  if (!Number.isInteger(status) || Number(status) < 200 || Number(status) > 499)
    throw new RangeError(
      `response.status must be a whole number from 200 to 499, got ${show(status)}`,
    );
}

function show(value: unknown): string {
  return typeof value === "string" && value.length > 40
    ? `${value.length} characters`
    : (JSON.stringify(value) ?? String(value));
}
