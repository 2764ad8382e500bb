/** The life of one operation: from an unresolved key that is written down to settled, in its turn among the tabs. */
import type { IdempotencyError } from "@oncekey/shared";
import { sendUntilSettled } from "./attempt.ts";
import type { Settlement } from "./attempt.ts";
import { later } from "./backoff.ts";
import { whyIncomplete } from "./body-keeper.ts";
import { givenWay, leftAfter } from "./candidate.ts";
import { isAcknowledged } from "./classify.ts";
import type { Coalescer } from "./coalesce.ts";
import { createReport } from "./event.ts";
import type { EventCallbacks } from "./event.ts";
import { handedOver, handOver } from "./handover.ts";
import type { Wanted } from "./handover.ts";
import { isCurrent, letGo } from "./let-go.ts";
import { whyTooOld, withLifetime } from "./lifetime.ts";
import type { LoopParts } from "./loop-state.ts";
import type { Minter } from "./mint.ts";
import type { RetryPolicy } from "./options.ts";
import { createTracker, IDLE } from "./progress.ts";
import type { Progress } from "./progress.ts";
import { recordId } from "./record.ts";
import type { OperationRecord, Shelf } from "./record.ts";
import type { PendingOperation, RunOptions, RunResult, Unknown } from "./result.ts";
import type { Tabs, Turn } from "./tabs.ts";

/** What an operation needs from the client. */
export interface OperationParts {
  readonly loop: LoopParts;
  readonly shelf: Shelf;
  /** What makes it the same operation, in the form in which it is kept. */
  readonly identify: (identity: string) => string;
  readonly live: Coalescer<RunResult<unknown>>;
  readonly tabs: Tabs;
  readonly minter: Minter;
  readonly progress: Progress;
  /** The client's own callbacks. */
  readonly listener: EventCallbacks;
}

/** Sends what is written down again, unless it is being sent right now: then this is that run. */
function resumeRecord(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
  options: RunOptions,
): Promise<RunResult<unknown>> {
  const id = recordId(record);
  const { identity, key } = record;
  const wanted = { identity, key, askedAt: parts.tabs.nowAt() };
  return takeTurn(parts, id, wanted, policy, options, async (turn) => {
    // Another run may have settled it since it was listed; its record is gone then, and the server's is the answer.
    const found = await parts.shelf.read(id);
    const current = found?.key === key ? found : undefined;
    const handed = await takeOver(parts, turn, policy, current, wanted);
    return handed ?? settleForAll(parts, turn, current ?? record, policy, options);
  });
}

export function takeTurn(
  { live, tabs, progress }: OperationParts,
  id: string,
  { identity, key }: Wanted,
  { deadlineMs: waitMs }: RetryPolicy,
  { signal }: RunOptions,
  start: (turn: Turn) => Promise<RunResult<unknown>>,
): Promise<RunResult<unknown>> {
  const inTurn = (): Promise<RunResult<unknown>> => tabs.take(id, { signal, waitMs }, start);
  return live.run(id, identity, () => progress.track(id, inTurn, key));
}

/** What another tab did for the same wish while this one waited for its turn. */
export async function takeOver(
  parts: OperationParts,
  turn: Turn,
  policy: RetryPolicy,
  found: OperationRecord | undefined,
  wanted: Wanted,
): Promise<RunResult<unknown> | undefined> {
  const result = await handedOver(turn, found, wanted);
  if (result === undefined) return undefined;
  const isFound = found?.key === result.key;
  if (result.kind === "unknown") {
    return isFound ? { ...result, ...handles(parts, found, policy) } : undefined;
  }
  if (isFound) await letGo(parts, found);
  return result;
}

export async function settleForAll(
  parts: OperationParts,
  turn: Turn,
  record: OperationRecord,
  policy: RetryPolicy,
  options: RunOptions,
): Promise<RunResult<unknown>> {
  const error = whyTooOld(record, policy) ?? whyIncomplete(record);
  const result = await settle(parts, record, policy, options, "again", error);
  handOver(turn, record, result, options.signal);
  return result;
}

/** Asks the server what came of a record, and starts nothing. */
function checkRecord(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
  options: RunOptions,
): Promise<RunResult<unknown>> {
  const { identity, key } = record;
  // An identity of its own: nobody who wants it done may be given the result of a mere look.
  const wanted = { identity: `check ${identity}`, key, askedAt: parts.tabs.nowAt() };
  const error = whyIncomplete(record);
  return takeTurn(parts, recordId(record), wanted, policy, options, () =>
    settle(parts, record, policy, options, "check", error),
  );
}

/** Sends it, unless there is an error that keeps it from being sent. */
async function settle(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
  options: RunOptions,
  manner: Manner,
  error: IdempotencyError | undefined,
): Promise<RunResult<unknown>> {
  if (error !== undefined) return unknown(parts, record, policy, { error, attempts: 0 });
  return conclude(parts, record, policy, await send(parts, record, policy, options, manner));
}

/** Forgets a record, where it is still the same one. */
async function forgetRecord(parts: OperationParts, record: OperationRecord): Promise<void> {
  const { shelf, live, progress } = parts;
  if (!(await isCurrent(parts, record))) return;
  const id = recordId(record);
  await shelf.remove(id);
  if (!live.isLive(id)) progress.set(id, IDLE);
}

/** `first`: under a key that was never sent. `again`: it was. `check`: it was, and nothing may start. */
type Manner = "first" | "again" | "check";

/** Sends what is written down, until it is settled or cannot be. */
export function send(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
  options: RunOptions,
  manner: Manner,
): Promise<Settlement> {
  const { loop, progress, listener } = parts;
  const { operation, instance, key, request } = record;
  const isUnresolved = manner !== "first";
  const track = createTracker(progress, recordId(record), key, isUnresolved);
  const tell = createReport(loop.warn, { key, operation, instance }, [listener, options]);
  return sendUntilSettled(loop, {
    request,
    key,
    policy,
    signal: options.signal,
    isUnresolved,
    isCheck: manner === "check",
    report(event) {
      track(event);
      tell(event);
    },
  });
}

export async function conclude(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
  { ending, attempts, answer }: Settlement,
): Promise<RunResult<unknown>> {
  const { key } = record;
  switch (ending.kind) {
    case "done": {
      await letGo(parts, record);
      const { value, replayed, status } = ending;
      return { kind: "done", value, replayed, status, key, attempts };
    }
    case "unsent":
      await forgetRecord(parts, record);
      return { kind: "rejected", error: ending.error, key, attempts };
    case "rejected": {
      const { error } = ending;
      const left = leftAfter(record, error, answer !== undefined && isAcknowledged(answer, key));
      if (left === undefined) {
        await letGo(parts, record);
        return { kind: "rejected", error, key, attempts };
      }
      await rewrite(parts, left);
      const earlier = toPending(parts, left, policy);
      return { kind: "rejected", error: givenWay(error), earlier, key, attempts };
    }
    case "unknown": {
      const kept = withLifetime(record, answer?.headers);
      if (kept !== record) await rewrite(parts, kept);
      return unknown(parts, kept, policy, { error: ending.error, attempts });
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
  policy: RetryPolicy,
  { error, attempts }: { readonly error: IdempotencyError; readonly attempts: number },
): Unknown<unknown> {
  const retryAt = later(error.retryAfterMs);
  const isMissing = error.code === "idempotency_not_found";
  return {
    kind: "unknown",
    key: record.key,
    error,
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
  policy: RetryPolicy,
): PendingOperation {
  const { operation, instance, key, createdAt: at } = record;
  return { operation, instance, key, createdAt: new Date(at), ...handles(parts, record, policy) };
}

function handles(parts: OperationParts, record: OperationRecord, policy: RetryPolicy) {
  const check = (options: RunOptions = {}): Promise<RunResult<unknown>> =>
    checkRecord(parts, record, policy, options);
  return {
    resume: (options: RunOptions = {}) => resumeRecord(parts, record, policy, options),
    forget: () => forgetRecord(parts, record),
    ...(policy.statusCheck ? { check } : {}),
  };
}
