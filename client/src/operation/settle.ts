/** The life of one operation: from an unresolved key that is written down to settled, in its turn among the tabs. */
import type { IdempotencyError } from "@oncekey/shared";
import { sendUntilSettled } from "../retry/retry-loop.ts";
import type { Settlement } from "../retry/retry-loop.ts";
import { later } from "../options/backoff.ts";
import { whyIncomplete } from "../records/body-codec.ts";
import { givenWay, leftAfter, leftWithout, withFirst } from "./held-requests.ts";
import { checkValue } from "./check-value.ts";
import { isAcknowledged } from "../retry/classify.ts";
import { createReport } from "../options/events.ts";
import { handedOver, handOver } from "../tabs/tab-message.ts";
import type { Wanted } from "../tabs/tab-message.ts";
import { isCurrent, letGo } from "./release-record.ts";
import { sendableUntil, whyTooOld, withLifetime } from "./key-lifetime.ts";
import type { OperationPolicy } from "../options/client-options.ts";
import { createTracker, IDLE } from "./state.ts";
import { recordId } from "../records/record-store.ts";
import type { OperationRecord } from "../records/record-store.ts";
import type {
  CodedError,
  Done,
  PendingOperation,
  RunOptions,
  RunResult,
  Unknown,
} from "../result.ts";
import type { Turn } from "../tabs/tab-lock.ts";
import { takeTurn } from "./exclusive-run.ts";
import type { Conclusion, OperationParts } from "./exclusive-run.ts";

/** `check` asks what came of a record and starts nothing. `again` sends it, unless it is being sent right now: then this is that run. */
function askAgain(
  parts: OperationParts,
  record: OperationRecord,
  policy: OperationPolicy,
  options: RunOptions,
  manner: "again" | "check",
): Promise<RunResult<unknown>> {
  const { identity, key } = record;
  const id = recordId(record);
  const wanted = { identity, key, isLook: manner === "check", askedAt: parts.tabs.nowAt() };
  return takeTurn(parts, id, wanted, policy, options, async (turn) => {
    const found = await parts.shelf.read(id);
    // With all that was sent under its key since: what is refused of one of them does not settle the others.
    const current = found?.key === key ? (withFirst(found, identity) ?? found) : undefined;
    const handed = await takeOver(parts, turn, policy, current, wanted);
    // Another run may have settled it since it was listed; its record is gone then, and the server's is the answer.
    const settled = { ...record, settledAt: 0 };
    // Or it was rejected or given up, and sent again would start: where it can be looked up instead, it is.
    const how = current === undefined && policy.statusCheck ? "check" : manner;
    return handed ?? settleForAll(parts, turn, current ?? settled, policy, options, how);
  });
}

/** What another tab did for the same wish while this one waited for its turn. */
export async function takeOver(
  parts: OperationParts,
  turn: Turn,
  policy: OperationPolicy,
  found: OperationRecord | undefined,
  wanted: Wanted,
): Promise<Conclusion | undefined> {
  const result = await handedOver(turn, found, wanted);
  if (result === undefined) return undefined;
  const current = found?.key === result.key ? found : undefined;
  if (result.kind === "unknown") {
    return current && { result: { ...result, ...handles(parts, current, policy) } };
  }
  if (result.kind !== "done" && current) await letGo(parts, current);
  return { result, record: current };
}

/** Asks for a record, unless that cannot be, and tells those who wait what came of it. */
export async function settleForAll(
  parts: OperationParts,
  turn: Turn,
  record: OperationRecord,
  policy: OperationPolicy,
  options: RunOptions,
  manner: "again" | "check",
): Promise<Conclusion> {
  const isLook = manner === "check";
  const tooOld = isLook ? undefined : whyTooOld(record, policy);
  const error = tooOld ?? whyIncomplete(record);
  const conclusion =
    error === undefined
      ? await conclude(parts, record, policy, await send(parts, record, policy, options, manner))
      : { result: unknown(parts, record, policy, { error, attempts: 0 }), record: undefined };
  if (!isLook || conclusion.record) handOver(turn, record, conclusion.result, options.signal);
  // What was settled before is no end of what has begun since.
  return { ...conclusion, identity: record.settledAt === undefined ? record.identity : undefined };
}

/** Gives up what a record stood for, once nothing of its instance runs; what has been sent under its key since stays. */
async function giveUp(
  parts: OperationParts,
  record: OperationRecord,
  { deadlineMs: waitMs }: OperationPolicy,
): Promise<void> {
  const { shelf, live, tabs, progress } = parts;
  const id = recordId(record);
  const inTurn = async (): Promise<void> => {
    const found = await shelf.read(id);
    if (found?.key !== record.key) return;
    const left = leftWithout(found, record);
    if (left !== undefined) return shelf.write(left);
    await shelf.remove(id);
    progress.set(id, IDLE);
  };
  await live.run(id, `forget ${record.identity}`, async () => {
    await tabs.take(id, { signal: undefined, waitMs }, inTurn);
    // No run joins it, and so nobody is told.
    return undefined as never;
  });
}

/** `first`: under a key that was never sent. `again`: it was. `check`: it was, and nothing may start. */
type Manner = "first" | "again" | "check";

/** Sends the stored request until it is settled or cannot be, and checks the value by the schema of the operation. */
export async function send(
  parts: OperationParts,
  record: OperationRecord,
  policy: OperationPolicy,
  options: RunOptions,
  manner: Manner,
): Promise<Settlement> {
  const { loop, progress, listener } = parts;
  const { operation, instance, key, request } = record;
  const isUnresolved = manner !== "first";
  const track = createTracker(progress, recordId(record), key, isUnresolved);
  const tell = createReport(loop.warn, { key, operation, instance }, [listener, options]);
  const settlement = await sendUntilSettled(loop, {
    request,
    key,
    policy,
    signal: options.signal,
    isUnresolved,
    ...(manner === "check"
      ? { isCheck: true }
      : { sendableUntil: (told) => sendableUntil(withLifetime(record, policy, told), policy) }),
    report(event) {
      track(event);
      tell(event);
    },
  });
  return checkValue(settlement, key, policy.response);
}

export async function conclude(
  parts: OperationParts,
  record: OperationRecord,
  policy: OperationPolicy,
  settlement: Settlement,
): Promise<Conclusion> {
  const { ending, attempts, answer } = settlement;
  const { key } = record;
  const kept = withLifetime(record, policy, settlement);
  switch (ending.kind) {
    case "done":
      return { result: { ...ending, key, attempts } as Done<unknown>, record };
    case "unsent":
      if (await isCurrent(parts, record)) await parts.shelf.remove(recordId(record));
      return {
        result: { kind: "rejected", error: ending.error as CodedError, key, attempts },
      };
    case "rejected": {
      const { kind } = ending;
      const error = ending.error as CodedError;
      const left = leftAfter(kept, error, answer !== undefined && isAcknowledged(answer, key));
      if (left === undefined) {
        await letGo(parts, record);
        return { result: { kind, error, key, attempts }, record };
      }
      await rewrite(parts, left);
      const earlier = toPending(parts, left, policy);
      return { result: { kind, error: givenWay(error) as CodedError, earlier, key, attempts } };
    }
    case "unknown": {
      if (kept !== record) await rewrite(parts, kept);
      const { error } = ending;
      return { result: unknown(parts, kept, policy, { error, attempts }) };
    }
    default:
      return ending satisfies never;
  }
}

// Not where it was given up meanwhile, or another operation has taken the instance over.
async function rewrite(parts: OperationParts, record: OperationRecord): Promise<void> {
  if (await isCurrent(parts, record)) await parts.shelf.write(record);
}

function unknown(
  parts: OperationParts,
  record: OperationRecord,
  policy: OperationPolicy,
  { error, attempts }: { readonly error: IdempotencyError; readonly attempts: number },
): Unknown<unknown> {
  const retryAt = later(error.retryAfterMs);
  const isMissing = error.code === "idempotency_not_found";
  return {
    kind: "unknown",
    key: record.key,
    error: error as CodedError,
    attempts,
    ...(retryAt === undefined ? {} : { retryAt }),
    ...(isMissing ? { found: false } : {}),
    ...handles(parts, record, policy),
  };
}

/** What a page can do with a record that is not settled. */
export function toPending(
  parts: OperationParts,
  record: OperationRecord,
  policy: OperationPolicy,
): PendingOperation {
  const { operation, instance, key, createdAt: at } = record;
  return { operation, instance, key, createdAt: new Date(at), ...handles(parts, record, policy) };
}

function handles(parts: OperationParts, record: OperationRecord, policy: OperationPolicy) {
  const ask =
    (manner: "again" | "check") =>
    (options: RunOptions = {}): Promise<RunResult<unknown>> =>
      askAgain(parts, record, policy, options, manner);
  return {
    resume: ask("again"),
    forget: () => giveUp(parts, record, policy),
    ...(policy.statusCheck ? { check: ask("check") } : {}),
  };
}
