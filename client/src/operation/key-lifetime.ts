/** How long a key may be sent again: for as long as the server recognises it, and no moment longer. */
import { IDEMPOTENCY_KEY_LIFETIME, IDEMPOTENT_REPLAYED, IdempotencyError } from "@oncekey/shared";
import type { Told } from "../retry/loop-state.ts";
import type { RetryPolicy } from "../options/client-options.ts";
import type { OperationRecord } from "../records/record-store.ts";

/** A record from a later time than this clock tells: the clock was set back, and its age is not known. Corrections by the network are smaller. */
const CLOCK_STEP_MS = 300_000;

/**
 * Why a record may not be sent again, if so. Ages are differences on the clock of this machine alone, where being wrong cancels out.
 */
export function whyTooOld(
  record: OperationRecord,
  policy: RetryPolicy,
): IdempotencyError | undefined {
  const now = Date.now();
  const { key, createdAt } = record;
  // The last attempt of a run leaves that much later than the first.
  const isOver = now >= sendableUntil(record, policy, 2);
  if (!isOver && createdAt - now < CLOCK_STEP_MS) return undefined;
  const why = isOver ? "The server may have forgotten this key" : "The clock was set back";
  // Sent again, it could run a second time. Only a person can tell what came of it.
  return new IdempotencyError(
    `${why}; find out another way what came of it`,
    "idempotency_key_expired",
    { key },
  );
}

/**
 * When the last request under the key may leave, in milliseconds since 1970.
 *
 * @param reserves times the deadline, or a quarter of a short lifetime: as long as a request may be under way.
 */
export function sendableUntil(
  { createdAt, expiresAt }: OperationRecord,
  { assumedLifetimeMs, deadlineMs }: RetryPolicy,
  reserves: number = 1,
): number {
  const lifetimeMs = expiresAt === undefined ? assumedLifetimeMs : expiresAt - createdAt;
  return createdAt + lifetimeMs - reserves * Math.min(deadlineMs, lifetimeMs / 4);
}

/**
 * The record with the end that the server has named, never later than said before. A replay names what is left: from when its run
 * began, for it may be read long after it came, and not beyond what was assumed. Others name the whole: from the key's first moment,
 * of which a reply that got lost may have come, and "unavailable" says it again without having looked.
 */
export function withLifetime(
  record: OperationRecord,
  { assumedLifetimeMs }: RetryPolicy,
  { answer, startedAt }: Told,
): OperationRecord {
  const lifetime = answer?.headers.get(IDEMPOTENCY_KEY_LIFETIME) ?? "";
  // Twelve digits are longer than anybody keeps anything, and still an instant that JSON can write down.
  if (!/^\d{1,12}$/.test(lifetime)) return record;
  const { createdAt } = record;
  const namedMs = Number(lifetime) * 1000;
  const from = answer?.headers.has(IDEMPOTENT_REPLAYED) ? startedAt : createdAt;
  const latest = record.expiresAt ?? createdAt + Math.max(assumedLifetimeMs, namedMs);
  return { ...record, expiresAt: Math.min(from + namedMs, latest) };
}
