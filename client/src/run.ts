/** From a wish to an operation: one that is unresolved comes first, and only then a key. */
import { IdempotencyError } from "@oncekey/shared";
import { isOpen } from "./handover.ts";
import { mintKey } from "./key.ts";
import { conclude, settleForAll, takeOver, takeTurn } from "./operation.ts";
import type { OperationParts } from "./operation.ts";
import type { RetryPolicy } from "./options.ts";
import { recordId } from "./record.ts";
import type { OperationRecord } from "./record.ts";
import type { PreparedRequest } from "./request.ts";
import type { RunOptions, RunResult } from "./result.ts";

/** One wish of the caller: this request, as this instance of this operation. */
export interface Wish {
  readonly operation: string;
  readonly instance: string;
  readonly identity: string;
  readonly request: PreparedRequest;
}

/**
 * Runs a wish. An unresolved record of the same instance comes first: with the same identity it is this wish, and is sent again
 * as it was written; with another it is settled before a key is minted. Only from settled or unused does a new key come.
 */
export function runWish(
  parts: OperationParts,
  wish: Wish,
  policy: RetryPolicy,
  options: RunOptions,
): Promise<RunResult<unknown>> {
  const id = recordId(wish.operation, wish.instance);
  const wanted = { identity: wish.identity, askedAt: parts.tabs.nowAt() };
  return takeTurn(parts, id, wanted, policy, options, async (turn) => {
    const found = await parts.shelf.read(id);
    const handed = await takeOver(parts, turn, policy, found, wanted);
    if (handed !== undefined) return handed;
    const open = isOpen(found, wanted, turn) ? found : undefined;
    if (open !== undefined) {
      const whole = await withBody(parts, open, wish);
      const result = await settleForAll(parts, turn, whole, policy, options, true);
      if (open.identity === wish.identity || result.kind === "unknown") return result;
    }
    const { operation, instance, identity, request } = wish;
    const record: OperationRecord = {
      version: 1,
      operation,
      instance,
      identity,
      key: mintKey(parts.key),
      request,
      createdAt: Date.now(),
    };
    if (!turn.isAlone && open === undefined) return notStarted(parts, record, policy, options);
    // Before the first byte: what is not written down is lost with the page.
    await parts.shelf.write(record);
    return settleForAll(parts, turn, record, policy, options, false);
  });
}

// A body that was left out of the storage comes from the input once more, for as long as this page lives.
async function withBody(
  { shelf }: OperationParts,
  record: OperationRecord,
  { identity, request }: Wish,
): Promise<OperationRecord> {
  if (record.request.sealedBody === undefined || record.identity !== identity) return record;
  const whole = { ...record, request };
  await shelf.write(whole);
  return whole;
}

function notStarted(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
  { signal }: RunOptions,
): Promise<RunResult<unknown>> {
  const why =
    "Stopped while another tab was about to start this operation; nothing was sent from here";
  const error = new IdempotencyError(why, undefined, { key: record.key, cause: signal?.reason });
  const ending = { kind: "unsent" as const, error };
  return conclude(parts, record, policy, { ending, attempts: 0, answer: undefined });
}
