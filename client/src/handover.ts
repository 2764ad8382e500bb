/** How a run ended, in a form that another tab can be told. */
import { createError, isKey } from "@oncekey/shared";
import type { AllErrorDetails, ErrorCode, IdempotencyError } from "@oncekey/shared";
import type { OperationRecord } from "./record.ts";
import type { RunResult } from "./result.ts";
import type { Turn } from "./tabs.ts";

/** The end of a run of this identity, for those who wait for the same. */
interface Handover {
  readonly identity: string;
  readonly key: string;
  /** Without its functions, which are made anew where it arrives; `undefined`: go on yourselves. */
  readonly result: Readonly<Record<string, unknown>> | undefined;
}

/** What a run waits for, and since when. */
export interface Wanted {
  readonly identity: string;
  /** Only the result under this key. */
  readonly key?: string;
  readonly askedAt: number;
}

/** Tells those who wait for the same how it ended: once, and by the run that did it. */
export function handOver(
  turn: Turn,
  { identity, key, settledAt }: OperationRecord,
  result: RunResult<unknown>,
  signal: AbortSignal | undefined,
): void {
  if (settledAt !== undefined) return;
  // That one tab stops is no reason for the others to stop.
  const isStopped = result.kind !== "done" && signal?.aborted;
  const error = result.kind === "done" ? {} : { error: fromError(result.error) };
  const told = isStopped ? undefined : { ...data(result), ...error };
  turn.announce({ identity, key, result: told } satisfies Handover);
}

/**
 * The result that another tab handed over while this one waited for its turn, less its functions.
 *
 * @param found what is on the shelf.
 */
export async function handedOver(
  turn: Turn,
  found: OperationRecord | undefined,
  wanted: Wanted,
): Promise<RunResult<unknown> | undefined> {
  const isOurs = found === undefined || found.identity === wanted.identity;
  const mayBeLate = turn.hasWaited && turn.isAlone && isOurs && isOpen(found, wanted, turn);
  const isTold = (other: unknown): boolean =>
    isHandover(other, wanted) && (other as Handover).result !== undefined;
  // That a tab stopped is the last word only where it left the operation unsettled.
  const isLast = (other: unknown): boolean =>
    isTold(other) ||
    (isHandover(other, wanted) && found !== undefined && found.settledAt === undefined);
  const message = (await turn.handed(isTold, false)) ?? (await turn.handed(isLast, mayBeLate));
  const { result } = (message ?? {}) as Partial<Handover>;
  if (result === undefined) return undefined;
  const error = result["error"] === undefined ? {} : { error: toError(result["error"]) };
  return { ...result, ...error } as unknown as RunResult<unknown>;
}

/** Whether a record is still to be settled: those who waited while it was, and were not told, find it once more. */
export function isOpen(
  found: OperationRecord | undefined,
  { identity, askedAt }: Wanted,
  { hasWaited }: Turn,
): boolean {
  if (found?.settledAt === undefined) return true;
  return found.identity === identity && hasWaited && askedAt <= found.settledAt;
}

// Another version of the page may say something else.
function isHandover(message: unknown, wanted: Wanted): boolean {
  if (typeof message !== "object" || message === null) return false;
  const { identity, key } = message as Partial<Handover>;
  return identity === wanted.identity && isKey(key) && key === (wanted.key ?? key);
}

// Errors lose their class and most of their members on the way.
function fromError(error: IdempotencyError): Record<string, unknown> {
  return { ...data(error), message: error.message };
}

function toError(error: unknown): IdempotencyError {
  const { message, code, ...details } = error as AllErrorDetails & {
    readonly message: string;
    readonly code: ErrorCode | undefined;
  };
  return createError(message, code, details);
}

function data(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).filter(([, member]) => typeof member !== "function"),
  );
}
