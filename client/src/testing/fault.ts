/** The scripted faults of one request. */

/**
 * A fault of one request.
 *
 * - For `none`, the request is answered according to the contract.
 * - For `unreachable`, a network error: the request does not arrive.
 * - For `reply-lost`, a network error after the resolver ran and its response was stored.
 * - For `cut-off`, the resolver ran and its response was stored. The body of the reply breaks off.
 * - For `down`, 503 `idempotency_unavailable`. The resolver does not run.
 *
 * The other faults describe an earlier copy of the request whose answer the client never saw.
 *
 * - For `replay`, the copy ran. Its stored response comes back.
 * - For `in-flight`, the copy still runs: 409 `idempotency_in_flight`. By the next request it has ended.
 * - For `mismatch`, the copy ran with different content: its response with the mark, or 422 under `mismatch: 'reject'`.
 * - For `response-not-stored`, the copy ran and its body could not be stored: 410 `idempotency_response_not_stored`.
 * - For `outcome-unknown`, the server of the copy crashed: 500 `idempotency_outcome_unknown` from now on.
 * - For `expired`, the key is too old: 412 `idempotency_key_expired` from now on. The resolver does not run.
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

/** @throws TypeError that names an unknown fault. */
export function checkFault(fault: unknown): void {
  const known: readonly unknown[] = FAULTS;
  if (known.includes(fault)) return;
  throw new TypeError(`a fault must be one of ${FAULTS.join(", ")}, got ${String(fault)}`);
}

/** Returns the response with its headers whole and its body cut off. */
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
