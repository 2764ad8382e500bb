/** The message that announces the end of a run to other tabs. */
import { createError, isKey } from "@oncekey/shared";
import type { AllErrorDetails, ErrorCode, IdempotencyError } from "@oncekey/shared";
import { nextMoment } from "./operation-run.ts";
import type { OperationRun } from "./operation-run.ts";
import type { OperationRecord } from "../records/record.ts";
import { hasIdentity } from "../records/record.ts";
import type { RunResult } from "./result.ts";
import { isMembers } from "../validation/is-object.ts";
import type { Members } from "../validation/is-object.ts";

/** Longer than a message is under way. */
const CLOCK_STEP_MS = 60_000;

/** The end of a run of this identity. */
export interface TabMessage {
  /** The name of the record. */
  readonly id: string;
  readonly operation: string;
  readonly instance: string;
  readonly identity: string;
  readonly key: string;
  /** When the run ended, in milliseconds since 1970. */
  readonly at: number;
  /** The result without its functions, which are made anew where it arrives; `undefined`: go on yourselves. */
  readonly result: Members | undefined;
}

/** Announces the end of an operation to other tabs, once, from the run that ended it. */
export function announce(run: OperationRun, identity: string, result: RunResult<unknown>): void {
  const { id, instance, definition, turn } = run;
  // Other tabs go on if this tab stops.
  const isStopped = result.kind !== "done" && turn.signal.aborted;
  turn.announce({
    id,
    operation: definition.name,
    instance,
    identity,
    key: result.key,
    at: nextMoment(),
    // The handle of an earlier operation cannot be sent: each tab asks for its own.
    result: isStopped || (result.kind === "rejected" && result.earlier) ? undefined : data(result),
  } satisfies TabMessage);
}

/** Returns the result that another tab announced while this run waited for its turn, without its functions. */
export async function receiveResult(
  run: OperationRun,
  found: OperationRecord | undefined,
): Promise<RunResult<unknown> | undefined> {
  const { turn } = run;
  const mayBeLate = turn.waitedFor === "tab" && turn.isAlone && isAwaited(found, run);
  // A settled operation may have been announced as unknown before.
  const isSettled = found?.settledAt !== undefined;
  const isResult = (message: unknown): boolean =>
    isFor(message, run) &&
    !isOvertaken(message, run) &&
    message.result !== undefined &&
    !(isSettled && message.result["kind"] === "unknown");
  // The message of a tab that stopped is the last one only if the operation is unsettled.
  const isLast = (message: unknown): boolean =>
    isResult(message) ||
    (isFor(message, run) &&
      (isOvertaken(message, run) || (found !== undefined && found.settledAt === undefined)));
  const message = (await turn.receive(isResult, false)) ?? (await turn.receive(isLast, mayBeLate));
  return isTabMessage(message) && !isOvertaken(message, run) ? resultOf(message) : undefined;
}

/** Whether another tab announces the end that a waiting run needs: of the same operation, or of an earlier one. */
function isAwaited(
  found: OperationRecord | undefined,
  { identity, askedAt }: OperationRun,
): boolean {
  if (found === undefined) return true;
  return found.settledAt === undefined ? found.identity === identity : askedAt <= found.settledAt;
}

/** Whether a run goes on with a record: it is unresolved, or was settled for the same input while this run waited, or just before. */
export function isOpen(found: OperationRecord | undefined, run: OperationRun): boolean {
  if (found?.settledAt === undefined) return true;
  const { identity, askedAt, turn, options } = run;
  if (options.again || !hasIdentity(found, identity)) return false;
  if (turn.waitedFor !== "nobody" && askedAt <= found.settledAt) return true;
  return Date.now() < (found.rememberedUntil ?? 0);
}

/** Whether another tab, perhaps of another release, sent this message. */
export function isTabMessage(message: unknown): message is TabMessage {
  if (!isMembers(message)) return false;
  const { id, operation, instance, identity, key, at, result } = message;
  return (
    typeof at === "number" &&
    [id, operation, instance, identity].every((text) => typeof text === "string") &&
    isKey(key) &&
    (result === undefined || isMembers(result))
  );
}

/** Returns the announced result; its `resume` and `forget` are missing. */
export function resultOf({ result }: TabMessage): RunResult<unknown> | undefined {
  return result && toResult(result);
}

function isFor(message: unknown, { id, identity, key }: OperationRun): message is TabMessage {
  return (
    isTabMessage(message) &&
    message.id === id &&
    message.identity === identity &&
    message.key === (key ?? message.key)
  );
}

/** Whether a run was asked for after the end that a message announces. A larger difference comes from the tabs' clocks. */
function isOvertaken({ at }: TabMessage, { askedAt }: OperationRun): boolean {
  return at < askedAt && askedAt - at < CLOCK_STEP_MS;
}

function toResult({
  error,
  valueError,
  earlierResult: earlier,
  ...rest
}: Members): RunResult<unknown> {
  const result = {
    ...rest,
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
