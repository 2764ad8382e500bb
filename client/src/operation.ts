/** The life of one operation: from nothing, through an unresolved key that is written down, to settled. */
import { KeyExpiredError, IDEMPOTENCY_KEY_LIFETIME } from "@oncekey/shared";
import { sendUntilSettled } from "./attempt.ts";
import type { LoopParts, Settlement } from "./attempt.ts";
import type { Coalescer } from "./coalesce.ts";
import { createReport } from "./event.ts";
import type { EventCallbacks } from "./event.ts";
import { mintKey } from "./key.ts";
import type { KeyOption } from "./key.ts";
import type { RetryPolicy } from "./options.ts";
import { createTracker, IDLE } from "./progress.ts";
import type { Progress } from "./progress.ts";
import { recordId } from "./record.ts";
import type { OperationRecord, Shelf } from "./record.ts";
import type { PreparedRequest } from "./request.ts";
import type { RunOptions, RunResult } from "./result.ts";

/** What an operation needs from the client. */
export interface OperationParts {
  readonly loop: LoopParts;
  readonly shelf: Shelf;
  readonly live: Coalescer<RunResult<unknown>>;
  readonly key: KeyOption;
  readonly progress: Progress;
  /** The client's own callbacks. */
  readonly listener: EventCallbacks;
}

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
  const start = async (): Promise<RunResult<unknown>> => {
    const found = await parts.shelf.read(id);
    if (found !== undefined) {
      const result = await settle(parts, found, policy, options, true);
      if (found.identity === wish.identity || result.kind === "unknown") return result;
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
    // Before the first byte: what is not written down is lost with the page.
    await parts.shelf.write(record);
    return settle(parts, record, policy, options, false);
  };
  return parts.live.run(id, wish.identity, () => parts.progress.track(id, start));
}

/** Sends what is written down again, unless it is being sent right now: then this is that run. */
export function resumeRecord(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
  options: RunOptions,
): Promise<RunResult<unknown>> {
  const id = recordId(record.operation, record.instance);
  const start = async (): Promise<RunResult<unknown>> => {
    // Another run may have settled it since it was listed; its record is gone then, and the server's is the answer.
    const current = await parts.shelf.read(id);
    return settle(parts, current?.key === record.key ? current : record, policy, options, true);
  };
  return parts.live.run(id, record.identity, () => parts.progress.track(id, start, record.key));
}

/** Forgets a record, where it is still the same one. */
export async function forgetRecord(parts: OperationParts, record: OperationRecord): Promise<void> {
  const { shelf, live, progress } = parts;
  if (!(await isCurrent(parts, record))) return;
  const id = recordId(record.operation, record.instance);
  await shelf.remove(id);
  if (!live.isLive(id)) progress.set(id, IDLE);
}

async function isCurrent({ shelf }: OperationParts, record: OperationRecord): Promise<boolean> {
  return (await shelf.read(recordId(record.operation, record.instance)))?.key === record.key;
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

async function conclude(
  parts: OperationParts,
  record: OperationRecord,
  policy: RetryPolicy,
  { ending, attempts, answer }: Settlement,
): Promise<RunResult<unknown>> {
  const { key } = record;
  switch (ending.kind) {
    case "done": {
      await forgetRecord(parts, record);
      const { value, replayed, status } = ending;
      return { kind: "done", value, replayed, status, key, attempts };
    }
    case "unsent":
    case "rejected":
      await forgetRecord(parts, record);
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
