/** The life of one operation: from an unresolved key that is written down to settled, in its turn among the tabs. */
import { InputRequiredError, KeyExpiredError, IDEMPOTENCY_KEY_LIFETIME } from "@oncekey/shared";
import { sendUntilSettled } from "./attempt.ts";
import type { Settlement } from "./attempt.ts";
import type { Coalescer } from "./coalesce.ts";
import { createReport } from "./event.ts";
import type { EventCallbacks } from "./event.ts";
import { handedOver, handOver } from "./handover.ts";
import type { Wanted } from "./handover.ts";
import type { KeyOption } from "./key.ts";
import { isCurrent, letGo } from "./let-go.ts";
import type { LoopParts } from "./loop-state.ts";
import type { RetryPolicy } from "./options.ts";
import { createTracker, IDLE } from "./progress.ts";
import type { Progress } from "./progress.ts";
import { recordId } from "./record.ts";
import type { OperationRecord, Shelf } from "./record.ts";
import type { RunOptions, RunResult } from "./result.ts";
import type { Tabs, Turn } from "./tabs.ts";

/** What an operation needs from the client. */
export interface OperationParts {
  readonly loop: LoopParts;
  readonly shelf: Shelf;
  /** What makes it the same operation, in the form in which it is kept. */
  readonly identify: (identity: string) => string;
  readonly live: Coalescer<RunResult<unknown>>;
  readonly tabs: Tabs;
  readonly key: KeyOption;
  readonly progress: Progress;
  /** The client's own callbacks. */
  readonly listener: EventCallbacks;
}

/** Sends what is written down again, unless it is being sent right now: then this is that run. */
export function resumeRecord(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
  options: RunOptions,
): Promise<RunResult<unknown>> {
  const id = recordId(record.operation, record.instance);
  const { identity, key } = record;
  const wanted = { identity, key, askedAt: parts.tabs.nowAt() };
  return takeTurn(parts, id, wanted, policy, options, async (turn) => {
    // Another run may have settled it since it was listed; its record is gone then, and the server's is the answer.
    const found = await parts.shelf.read(id);
    const current = found?.key === key ? found : undefined;
    const handed = await takeOver(parts, turn, policy, current, wanted);
    return handed ?? settleForAll(parts, turn, current ?? record, policy, options, true);
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
  isUnresolved: boolean,
): Promise<RunResult<unknown>> {
  const result = await settle(parts, record, policy, options, isUnresolved);
  handOver(turn, record, result, options.signal);
  return result;
}

/** Forgets a record, where it is still the same one. */
export async function forgetRecord(parts: OperationParts, record: OperationRecord): Promise<void> {
  const { shelf, live, progress } = parts;
  if (!(await isCurrent(parts, record))) return;
  const id = recordId(record.operation, record.instance);
  await shelf.remove(id);
  if (!live.isLive(id)) progress.set(id, IDLE);
}

async function settle(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
  options: RunOptions,
  isUnresolved: boolean,
): Promise<RunResult<unknown>> {
  const { key, request } = record;
  if (record.expiresAt !== undefined && record.expiresAt <= Date.now()) {
    return expired(parts, record, policy);
  }
  if (request.sealedBody !== undefined) return inputRequired(parts, record, policy);
  const { operation, instance } = record;
  const track = createTracker(parts.progress, recordId(operation, instance), key, isUnresolved);
  const about = { key, operation, instance };
  const tell = createReport(parts.loop.warn, about, [parts.listener, options]);
  const settlement = await sendUntilSettled(parts.loop, {
    request,
    key,
    policy,
    signal: options.signal,
    isUnresolved,
    report(event) {
      track(event);
      tell(event);
    },
  });
  return conclude(parts, record, policy, settlement);
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
    case "rejected":
      await (ending.kind === "unsent" ? forgetRecord : letGo)(parts, record);
      return { kind: "rejected", error: ending.error, key, attempts };
    case "unknown": {
      const kept = withLifetime(record, answer?.headers.get(IDEMPOTENCY_KEY_LIFETIME) ?? null);
      // Not where it was given up meanwhile, or another operation has taken the instance over.
      if (kept !== record && (await isCurrent(parts, record))) await parts.shelf.write(kept);
      const { error, retryAt } = ending;
      return {
        ...handles(parts, kept, policy),
        error,
        attempts,
        ...(retryAt === undefined ? {} : { retryAt }),
      };
    }
    default:
      return ending satisfies never;
  }
}

// Sent again, it could run a second time: the server no longer knows it. Only a person can tell what came of it.
function expired(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
): RunResult<unknown> {
  const message =
    "The server no longer recognises this key; whether the operation was done has to be found out another way";
  const error = new KeyExpiredError(message, { key: record.key });
  return { ...handles(parts, record, policy), error, attempts: 0 };
}

// Of the request only the key was kept.
function inputRequired(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
): RunResult<unknown> {
  const message =
    "The body of this request is not in the storage; run the operation with the same input to go on with its key";
  const error = new InputRequiredError(message, { key: record.key });
  return { ...handles(parts, record, policy), error, attempts: 0 };
}

function handles(parts: OperationParts, record: OperationRecord, policy: RetryPolicy) {
  return {
    kind: "unknown" as const,
    key: record.key,
    resume: (options: RunOptions = {}) => resumeRecord(parts, record, policy, options),
    forget: () => forgetRecord(parts, record),
  };
}

// From the key's first moment, and never later than said before: a reply that got lost may have come of that moment, and
// an answer such as "unavailable" names the whole lifetime again without having looked at the record.
function withLifetime(record: OperationRecord, lifetime: string | null): OperationRecord {
  // Twelve digits are longer than anybody keeps anything, and still an instant that JSON can write down.
  if (lifetime === null || !/^\d{1,12}$/.test(lifetime)) return record;
  const expiresAt = record.createdAt + Number(lifetime) * 1000;
  return { ...record, expiresAt: Math.min(expiresAt, record.expiresAt ?? expiresAt) };
}
