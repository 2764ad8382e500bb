/** From a wish to an operation: one that is unresolved comes first, and only then a key. */
import { IdempotencyError } from "@oncekey/shared";
import { withFirst, withHeld } from "./candidate.ts";
import { handOver, isOpen } from "./handover.ts";
import { conclude, send, settleForAll, takeOver, takeTurn } from "./operation.ts";
import type { OperationParts } from "./operation.ts";
import type { RetryPolicy } from "./options.ts";
import { recordId } from "./record.ts";
import type { OperationRecord } from "./record.ts";
import type { PreparedRequest } from "./request.ts";
import type { RunOptions, RunResult } from "./result.ts";
import type { Turn } from "./tabs.ts";

/** One wish of the caller: this request, as this instance of this operation. */
export interface Wish {
  readonly operation: string;
  readonly instance: string;
  readonly identity: string;
  /** A function, where the body has to be read first. */
  readonly request: PreparedRequest | (() => Promise<PreparedRequest>);
}

type ReadyWish = Wish & { readonly request: PreparedRequest };

/**
 * Runs a wish. An unresolved record of the same instance comes first: with the same identity it is this wish, and is sent again
 * as it was written; with another it is settled before a key is minted, or its key is held. Only from settled or unused does a
 * new key come.
 */
export function runWish(
  parts: OperationParts,
  asked: Wish,
  policy: RetryPolicy,
  options: RunOptions,
): Promise<RunResult<unknown>> {
  const { identity, request } = asked;
  const id = recordId(asked);
  const wanted = { identity, askedAt: parts.tabs.nowAt() };
  // Read while the click is fresh: a form may be another one by the time of its turn.
  const reading = typeof request === "function" ? request() : request;
  if (reading instanceof Promise) reading.catch(() => undefined);
  const inTurn = async (turn: Turn): Promise<RunResult<unknown>> => {
    const wish = { ...asked, request: await reading };
    const found = await parts.shelf.read(id);
    const handed = await takeOver(parts, turn, policy, found, wanted);
    if (handed !== undefined) return handed;
    let open = isOpen(found, wanted, turn) ? found : undefined;
    const isFirst = open === undefined;
    while (open !== undefined) {
      const chosen = await choose(parts, open, wish, policy);
      const result = await settleForAll(parts, turn, chosen, policy, options);
      if (chosen.identity === wish.identity || result.kind === "unknown") return result;
      open = "earlier" in result ? await parts.shelf.read(id) : undefined;
    }
    const record = mint(parts, wish);
    if (isFirst && !turn.isAlone) return notStarted(parts, record, policy, options);
    // Before the first byte: what is not written down is lost with the page.
    if (found === undefined && !(await parts.shelf.claim(record))) return inTurn(turn);
    if (found !== undefined) await parts.shelf.write(record);
    return startForAll(parts, turn, record, wish, policy, options);
  };
  return takeTurn(parts, id, wanted, policy, options, inTurn);
}

/** The unresolved record, with the request at its head that is to be sent under its key. */
async function choose(
  { shelf }: OperationParts,
  record: OperationRecord,
  wish: ReadyWish,
  { onChange }: RetryPolicy,
): Promise<OperationRecord> {
  const known = withFirst(record, wish.identity);
  // A body that was left out of the storage comes from the input once more, for as long as this page lives.
  const whole =
    known?.request.sealedBody === undefined ? known : { ...known, request: wish.request };
  const chosen = whole ?? (onChange === "hold" ? withHeld(record, wish) : record);
  // Before it is sent: whoever comes later has to know that it may be what the server has.
  if (chosen !== record) await shelf.write(chosen);
  return chosen;
}

async function startForAll(
  parts: OperationParts,
  turn: Turn,
  written: OperationRecord,
  wish: ReadyWish,
  policy: RetryPolicy,
  options: RunOptions,
): Promise<RunResult<unknown>> {
  let record = written;
  let isFirst = true;
  const settlement = await parts.minter.sendFresh(async () => {
    if (!isFirst) {
      record = mint(parts, wish);
      await parts.shelf.write(record);
    }
    isFirst = false;
    return send(parts, record, policy, options, "first");
  });
  const result = await conclude(parts, record, policy, settlement);
  handOver(turn, record, result, options.signal);
  return result;
}

function mint({ minter }: OperationParts, wish: ReadyWish): OperationRecord {
  return { version: 1, ...wish, key: minter.mint(), createdAt: Date.now() };
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
