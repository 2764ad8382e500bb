/** How a run ended, in a form that another tab can be told. */
import { createError, isKey } from "@oncekey/shared";
import type { AllErrorDetails, ErrorCode, IdempotencyError } from "@oncekey/shared";
import type { Members } from "../validation/is-object.ts";
import type { OperationRecord } from "../records/record-store.ts";
import type { RunResult } from "../result.ts";
import type { Turn } from "./tab-lock.ts";

/** The end of a run of this identity, for those who wait for the same. */
interface Handover {
  readonly identity: string;
  readonly key: string;
  /** Without its functions, which are made anew where it arrives; `undefined`: go on yourselves. */
  readonly result: Members | undefined;
}

/** What a run waits for, and since when. */
export interface Wanted {
  readonly identity: string;
  /** Only the result under this key. */
  readonly key?: string;
  /** Whether nothing may start for it. */
  readonly isLook?: boolean;
  /** Whether it waited for another run of this context. */
  readonly hasQueued?: boolean;
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
  const told = isStopped ? undefined : data(result);
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
  return result && toResult(result);
}

/** Whether a record is still to be settled: those who waited while it was, and were not told, find it once more. */
export function isOpen(
  found: OperationRecord | undefined,
  { identity, askedAt, hasQueued = false }: Wanted,
  { hasWaited }: Turn,
): boolean {
  if (found?.settledAt === undefined) return true;
  return found.identity === identity && (hasWaited || hasQueued) && askedAt <= found.settledAt;
}

// Another version of the page may say something else.
function isHandover(message: unknown, wanted: Wanted): boolean {
  if (typeof message !== "object" || message === null) return false;
  const { identity, key } = message as Partial<Handover>;
  return identity === wanted.identity && isKey(key) && key === (wanted.key ?? key);
}

function toResult({
  error,
  valueError,
  earlierResult: earlier,
  ...told
}: Members): RunResult<unknown> {
  const result = {
    ...told,
    ...(error ? { error: toError(error) } : {}),
    ...(valueError ? { valueError: toError(valueError) } : {}),
    ...(earlier ? { earlierResult: toResult(earlier as Members) } : {}),
  };
  return result as unknown as RunResult<unknown>;
}

function toError(error: unknown): IdempotencyError {
  const { message, code, ...details } = error as AllErrorDetails & {
    readonly message: string;
    readonly code: ErrorCode | undefined;
  };
  return createError(message, code, details);
}

// Errors lose their class and most of their members on the way.
function data(value: object): Record<string, unknown> {
  const members = Object.entries(value).filter(([, member]) => typeof member !== "function");
  const told = members.map(([name, member]: [string, unknown]) => {
    const isPart = /rror$|^earlierResult$/.test(name);
    return [name, isPart ? data(member as object) : member];
  });
  const message = value instanceof Error ? { message: value.message } : {};
  return { ...(Object.fromEntries(told) as object), ...message };
}
