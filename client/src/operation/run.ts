/** From a wish to an operation: one that is unresolved comes first, and only then a key. */
import { IdempotencyError } from "@oncekey/shared";
import { withFirst, withHeld, withInput } from "./held-requests.ts";
import { handOver, isOpen } from "../tabs/tab-message.ts";
import { conclude, send, settleForAll, takeOver } from "./settle.ts";
import type { OperationPolicy } from "../options/client-options.ts";
import { recordId } from "../records/record-store.ts";
import type { OperationRecord } from "../records/record-store.ts";
import type { PreparedRequest } from "../wire/request.ts";
import type { Rejected, RunOptions, RunResult, Settled } from "../result.ts";
import type { Turn } from "../tabs/tab-lock.ts";
import { takeTurn } from "./exclusive-run.ts";
import type { Conclusion, OperationParts } from "./exclusive-run.ts";

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
  policy: OperationPolicy,
  options: RunOptions,
): Promise<RunResult<unknown>> {
  const { identity, request } = asked;
  const id = recordId(asked);
  const wanted = { identity, askedAt: parts.tabs.nowAt(), hasQueued: parts.live.isLive(id) };
  // Read while the click is fresh: a form may be another one by the time of its turn.
  const reading = typeof request === "function" ? request() : request;
  if (reading instanceof Promise) reading.catch(() => undefined);
  const inTurn = async (turn: Turn, earlierResult?: Settled): Promise<Conclusion> => {
    const after = (conclusion: Conclusion): Conclusion => ({
      ...conclusion,
      result: { ...(earlierResult && { earlierResult }), ...conclusion.result },
    });
    const wish = { ...asked, request: await reading };
    const found = await parts.shelf.read(id);
    const handed = await takeOver(parts, turn, policy, found, wanted);
    if (handed !== undefined) return after(handed);
    const tried = new Set<string>();
    let last = found;
    let open = isOpen(found, wanted, turn) ? found : undefined;
    while (open !== undefined) {
      const chosen = await choose(parts, open, wish, policy);
      const conclusion = await settleForAll(parts, turn, chosen, policy, options, "again");
      const { result, record: settled } = conclusion;
      if (chosen.identity === wish.identity || result.kind === "unknown") return after(conclusion);
      open = settled ? undefined : await parts.shelf.read(id);
      // Of the requests under a key each has its turn, once.
      tried.add(chosen.key + chosen.identity);
      if (open && tried.has(open.key + open.identity)) return after(conclusion);
      if (settled === undefined) continue;
      // Its record stays until that of this wish takes its place.
      parts.live.tell(id, result, chosen.identity);
      earlierResult = result;
      last = settled;
    }
    const record = mint(parts, wish);
    // Settling took its time, in which another context may have written down its own, or done it and removed it.
    const there = last && (await parts.shelf.read(id));
    if (!turn.isAlone || (earlierResult?.kind === "done" && !there))
      return after({ result: notStarted(record.key, options) });
    if (there && there.key !== last?.key) return inTurn(turn, earlierResult);
    // Before the first byte: what is not written down is lost with the page.
    if (there) await parts.shelf.write(record);
    else if (!(await parts.shelf.claim(record))) return inTurn(turn, earlierResult);
    return startForAll(parts, turn, record, wish, policy, options, earlierResult);
  };
  return takeTurn(parts, id, wanted, policy, options, inTurn);
}

/** The unresolved record, with the request at its head that is to be sent under its key. */
async function choose(
  { shelf }: OperationParts,
  record: OperationRecord,
  wish: ReadyWish,
  { onChange }: OperationPolicy,
): Promise<OperationRecord> {
  const known = withFirst(record, wish.identity);
  // A body that was left out of the storage comes from the input once more, for as long as this page lives.
  const whole = known?.request.sealedBody === undefined ? known : withInput(known, wish);
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
  policy: OperationPolicy,
  options: RunOptions,
  earlierResult: Settled | undefined,
): Promise<Conclusion> {
  let record = written;
  let sent: OperationRecord | undefined;
  const settlement = await parts.minter.sendFresh(async () => {
    if (sent !== undefined) await parts.shelf.write((record = mint(parts, wish)));
    sent = record;
    return send(parts, record, policy, options, "first");
  });
  const conclusion = await conclude(parts, record, policy, settlement);
  const result = { ...conclusion.result, ...(earlierResult && { earlierResult }) };
  handOver(turn, record, result, options.signal);
  return { ...conclusion, result };
}

function mint({ minter }: OperationParts, wish: ReadyWish): OperationRecord {
  return { version: 1, ...wish, key: minter.mint(), createdAt: Date.now() };
}

function notStarted(key: string, { signal }: RunOptions): Rejected {
  const why = "Another tab may have started it: nothing was sent";
  const error = new IdempotencyError(why, undefined, { key, cause: signal?.reason });
  return { kind: "rejected", error, key, attempts: 0 };
}
