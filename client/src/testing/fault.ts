/** What can happen to one request, as a script says it. */

/**
 * - `none`: nothing; the request is answered as the contract has it.
 * - `unreachable`: it does not arrive. A network error, and nothing was done.
 * - `reply-lost`: it is done and its response is stored, and the reply is lost. A network error.
 * - `cut-off`: it is done and stored, and its body breaks off halfway.
 * - `down`: 503 `idempotency_unavailable`. Nothing was done.
 *
 * The others are about an earlier copy of the request, which the client sent and knows nothing of:
 * - `replay`: it was done; its stored response comes back.
 * - `in-flight`: it still runs: 409 `idempotency_in_flight`. It is done by the time of the next request.
 * - `mismatch`: it was done, with other content: its response comes back with the mark, or 422 under `mismatch: 'reject'`.
 * - `response-not-stored`: it was done, and its body could not be kept: 410 `idempotency_response_not_stored`.
 * - `outcome-unknown`: its server crashed: 500 `idempotency_outcome_unknown`, from now on.
 * - `expired`: the key is too old: 412 `idempotency_key_expired`, from now on. Nothing was done.
 */
export type Fault = (typeof FAULTS)[number];

export const FAULTS = [
  "none",
  "unreachable",
  "reply-lost",
  "cut-off",
  "down",
  "replay",
  "in-flight",
  "mismatch",
  "response-not-stored",
  "outcome-unknown",
  "expired",
] as const;

/** @throws TypeError that names what is no fault. */
export function checkFault(fault: unknown): void {
  const known: readonly unknown[] = FAULTS;
  if (known.includes(fault)) return;
  throw new TypeError(`a fault must be one of ${FAULTS.join(", ")}, got ${String(fault)}`);
}

/** A reply whose headers arrive and whose body does not. */
export function cutOff(response: Response): Response {
  const reader = response.body?.getReader();
  const body = new ReadableStream({
    async pull(controller) {
      const first = await reader?.read();
      const half = first?.value?.subarray(0, first.value.byteLength / 2);
      if (half !== undefined && half.byteLength > 0) controller.enqueue(half);
      await reader?.cancel();
      controller.error(new TypeError("terminated"));
    },
  });
  return new Response(body, { status: response.status, headers: response.headers });
}
