/** Lifetime of a key: a key is sent again only while the server recognises it. */
import { IDEMPOTENCY_KEY_LIFETIME, IDEMPOTENT_REPLAYED, IdempotencyError } from "@oncekey/shared";
import type { RetryPolicy } from "../options/client-options.ts";
import type { OperationRecord } from "../records/record.ts";
import type { Told } from "../retry/loop-state.ts";

/** A record from further in the future: the clock was set back, and the age is not known. Corrections by the network are smaller. */
const CLOCK_STEP_MS = 300_000;

/** Without an instance: as long as a second click on the same button may come. */
const REMEMBER_MS = 3_000;

/** Whether the server may have forgotten a key that would be sent from now on. */
export function isPastLifetime(record: OperationRecord, policy: RetryPolicy): boolean {
  // The last attempt of a run leaves that much later than the first.
  return Date.now() >= sendableUntil(record, policy, 2);
}

/**
 * Returns why a record may not be sent again, if so. Ages are differences on the clock of this machine alone, so that a wrong clock
 * cancels out.
 */
export function whyTooOld(
  record: OperationRecord,
  policy: RetryPolicy,
): IdempotencyError | undefined {
  const { key, createdAt } = record;
  const isOver = isPastLifetime(record, policy);
  if (!isOver && createdAt - Date.now() < CLOCK_STEP_MS) return undefined;
  // Sent again, the operation could run a second time.
  const message = isOver ? "The server may have forgotten this key" : "The clock was set back";
  return new IdempotencyError(message, "idempotency_key_expired", { key });
}

/**
 * Returns when the last request under the key may leave, in milliseconds since 1970.
 *
 * @param reserves Number of times the deadline, or a quarter of a short lifetime: as long as a request may be under way.
 */
export function sendableUntil(
  { createdAt, expiresAt }: OperationRecord,
  { assumedLifetimeMs, deadlineMs }: RetryPolicy,
  reserves: number = 1,
): number {
  const lifetimeMs = expiresAt === undefined ? assumedLifetimeMs : expiresAt - createdAt;
  return createdAt + lifetimeMs - reserves * Math.min(deadlineMs, lifetimeMs / 4);
}

/** Returns until when the key of a done operation is used for the same input, in milliseconds since 1970. */
export function rememberedUntil(record: OperationRecord, policy: RetryPolicy): number {
  // Also for a record whose operation is not defined in this page: without an instance, the identity takes its place.
  const hasInstance = record.instance !== record.identity;
  const rememberMs = policy.rememberMs ?? (hasInstance ? Number.POSITIVE_INFINITY : REMEMBER_MS);
  return Math.min(Date.now() + rememberMs, sendableUntil(record, policy, 2));
}

/**
 * Returns the record with the end that the server has named, never later than named before. A replay, and a 410 in its place, name
 * what is left: it counts from when the run began, and ends no later than what was assumed. Other answers name the whole: it counts
 * from the key's first moment, because a lost reply may have come from there.
 */
export function withLifetime(
  record: OperationRecord,
  { assumedLifetimeMs }: RetryPolicy,
  { answer, startedAt }: Told,
): OperationRecord {
  const lifetime = answer?.headers.get(IDEMPOTENCY_KEY_LIFETIME) ?? "";
  // Twelve digits are longer than any retention, and still an instant that JSON can write down.
  if (!/^\d{1,12}$/.test(lifetime)) return record;
  const { createdAt } = record;
  const namedMs = Number(lifetime) * 1000;
  const isLeft = answer?.headers.has(IDEMPOTENT_REPLAYED) || answer?.status === 410;
  const from = isLeft ? startedAt : createdAt;
  const latest = record.expiresAt ?? createdAt + Math.max(assumedLifetimeMs, namedMs);
  return { ...record, expiresAt: Math.min(from + namedMs, latest) };
}
