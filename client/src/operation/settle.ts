/** Settles a recorded, unresolved key: sends, looks up, and decides what is kept. */
import type { IdempotencyError } from "@oncekey/shared";
import { later } from "../options/backoff.ts";
import { createReport } from "../options/events.ts";
import { whyIncomplete } from "../records/body-codec.ts";
import { hasIdentity, withCandidates } from "../records/record.ts";
import type { OperationRecord, SendableRecord } from "../records/record.ts";
import { withoutBodies } from "../records/record-store.ts";
import type { RecordHandle } from "../records/record-store.ts";
import type {
  CodedError,
  Done,
  PendingOperation,
  Rejected,
  RunOptions,
  RunResult,
  Unknown,
} from "./result.ts";
import { isAcknowledged } from "../retry/classify.ts";
import { sendUntilSettled } from "../retry/retry-loop.ts";
import type { LoopResult } from "../retry/loop-result.ts";
import type { Told } from "../retry/loop-state.ts";
import { receiveResult } from "./tab-message.ts";
import { whenAborted } from "../wire/timeout.ts";
import { checkValue } from "./check-value.ts";
import {
  afterRejection,
  earlierExistsError,
  earlierResultIn,
  moveToFront,
  without,
} from "./held-requests.ts";
import {
  isPastLifetime,
  rememberedUntil,
  sendableUntil,
  whyTooOld,
  withLifetime,
} from "./key-lifetime.ts";
import { isAt, nextMoment } from "./operation-run.ts";
import type { Conclusion, Ending, OperationInstance, OperationRun } from "./operation-run.ts";
import { removeLater, sweepOnce } from "./remove-settled.ts";
import { runExclusive } from "./run-exclusive.ts";
import { createTracker, IDLE } from "./state.ts";

/** `first`: under a key that was never sent. `again`: it was. `check`: it was, and nothing may start. */
export type Manner = "first" | "again" | "check";

/** Sends the request at the head of a record, or looks it up, and concludes. */
export async function settle(
  run: OperationRun,
  handle: RecordHandle,
  record: OperationRecord,
  manner: Manner,
): Promise<Conclusion> {
  const { policy } = run.definition;
  const error = whyIncomplete(record);
  const tooOld = manner === "again" ? whyTooOld(record, policy) : undefined;
  if (tooOld !== undefined) return settleOld(run, handle, record, tooOld);
  if (error !== undefined) return left(unknown(run, record, { error, attempts: 0 }));
  const sendable = record as SendableRecord;
  return conclude(run, handle, sendable, await send(run, sendable, manner));
}

/** Looks up what is too old to be sent, if the server can be asked, before the client gives up on it. */
async function settleOld(
  run: OperationRun,
  handle: RecordHandle,
  record: OperationRecord,
  error: IdempotencyError,
): Promise<Conclusion> {
  const { policy } = run.definition;
  let looked = { attempts: 0 };
  if (policy.statusCheck && whyIncomplete(record) === undefined) {
    const look = await settle(run, handle, record, "check");
    const { result } = look;
    if (result.kind !== "unknown" || result.found !== false) return look;
    looked = { attempts: result.attempts, found: false } as typeof looked;
  }
  // Nothing will be sent under this key any more.
  const isOver = isPastLifetime(record, policy);
  const kept = isOver ? withoutBodies(record) : record;
  if (isOver && isAt(handle, record)) await handle.replace(kept);
  return left({ ...unknown(run, kept, { error, attempts: 0 }), ...looked });
}

/** Sends what is written down until it is settled or cannot be, and checks the value by the schema of the operation. */
export async function send(
  run: OperationRun,
  record: SendableRecord,
  manner: Manner,
): Promise<LoopResult> {
  const { client, definition, id, instance, identity, owner, options, turn } = run;
  const { loop, states, listener } = client;
  const { policy, name: operation } = definition;
  const { key, request } = record;
  const isUnresolved = manner !== "first";
  const track = createTracker((state) => states.set(id, identity, state), key, isUnresolved);
  const notify = createReport(loop.warn, { key, operation, instance }, [listener, options]);
  const stop = new AbortController();
  // The signal is the run's own, and ends with it.
  whenAborted(turn.signal, () => stop.abort(turn.signal.reason));
  // Another user's credentials must not carry this request. A hook may have read them although the owner is back.
  const changes = client.ownerChanges();
  const signedOut = (): void => {
    if (client.owner() !== owner || client.ownerChanges() !== changes)
      stop.abort(new Error("The signed-in user changed"));
  };
  const until = (told: Parameters<typeof withLifetime>[2]): number =>
    sendableUntil(withLifetime(record, policy, told), policy);
  const result = await sendUntilSettled(loop, {
    request,
    key,
    policy,
    signal: stop.signal,
    isUnresolved,
    sendableUntil: (told) => {
      signedOut();
      return manner === "check" ? Number.POSITIVE_INFINITY : until(told);
    },
    ...(manner === "check" ? { isCheck: true } : {}),
    report(event) {
      signedOut();
      track(event);
      notify(event);
    },
  });
  return checkValue(result, key, policy.response);
}

/** Turns the end of the retry loop into a result, and keeps what has to be kept. */
export async function conclude(
  run: OperationRun,
  handle: RecordHandle,
  record: OperationRecord,
  { told, ...ended }: LoopResult,
): Promise<Conclusion> {
  const { attempts } = told;
  const { key, identity } = record;
  const kept = withLifetime(record, run.definition.policy, told);
  // Its outcome is known already: a replay that fails takes nothing away.
  const isSettled = record.settledAt !== undefined;
  switch (ended.kind) {
    case "done": {
      const result = { ...ended, key, attempts } as Done<unknown>;
      const settledAt = record.settledAt ?? nextMoment();
      const only = { ...kept, held: undefined, settledAt };
      return {
        result,
        endings: endingsOf(isSettled, identity, result),
        release: () => (isSettled ? tidy(run, handle) : release(run, handle, only)),
      };
    }
    case "unsent": {
      await handle.remove();
      const result = {
        kind: "rejected",
        error: ended.error as CodedError,
        key,
        attempts,
      } as const;
      return { result, endings: [{ identity, result }] };
    }
    case "rejected":
      return concludeRejection(run, handle, kept, ended.error as CodedError, told);
    case "unknown": {
      const { error } = ended;
      if (kept !== record && !isSettled) await handle.replace(kept);
      const result = unknown(run, kept, { error, attempts });
      return { result, endings: isSettled ? [] : [{ identity, result }] };
    }
    default:
      return ended satisfies never;
  }
}

async function concludeRejection(
  run: OperationRun,
  handle: RecordHandle,
  record: OperationRecord,
  error: CodedError,
  { attempts, answer }: Told,
): Promise<Conclusion> {
  const { key, identity } = record;
  const isSettled = record.settledAt !== undefined;
  const base = { kind: "rejected", key, attempts } as const;
  const isOwn = answer !== undefined && isAcknowledged(answer, key);
  const rest = afterRejection(record, error, isOwn);
  const earlierResult = rest && earlierResultIn(error, key);
  if (rest !== undefined && earlierResult !== undefined) {
    // The key belongs to the earlier operation, and the server's replay has settled that.
    const result: Rejected = { ...base, error: earlierExistsError(error), earlierResult };
    const settled = { ...rest, settledAt: nextMoment() };
    const free = (): Promise<void> => release(run, handle, settled, earlierResult.kind === "done");
    const endings = [
      { identity, result },
      { identity: rest.identity, result: earlierResult },
    ];
    if (earlierResult.kind === "done") return { result, endings, release: free };
    await free();
    return { result, endings };
  }
  if (rest !== undefined && !isSettled) {
    await handle.replace(rest);
    const earlier = toPending(run, rest);
    const result = { ...base, error: earlierExistsError(error), earlier };
    return { result, endings: [{ identity, result }] };
  }
  if (isSettled) return concludeReplay(record, error, attempts);
  const result = { ...base, error };
  await release(run, handle, { ...record, settledAt: nextMoment() }, false);
  return { result, endings: [{ identity, result }] };
}

/**
 * Concludes a refused replay. If the client remembers the operation, it is done already: other bytes of the same identity, such as a
 * new payment token, change nothing about that. Otherwise the stored response is that of another request.
 */
function concludeReplay(
  { key, identity, settledAt }: OperationRecord,
  error: IdempotencyError,
  attempts: number,
): Conclusion {
  const original = settledAt === UNKNOWN_MOMENT ? undefined : earlierResultIn(error, key);
  if (original?.kind === "done") {
    const result = { ...original, attempts };
    return { result, endings: endingsOf(true, identity, result) };
  }
  return left({ kind: "rejected", error: earlierExistsError(error), key, attempts });
}

/** Leaves what is remembered of a settled operation, or removes its record. */
async function release(
  run: OperationRun,
  handle: RecordHandle,
  record: OperationRecord,
  isDone: boolean = true,
): Promise<void> {
  const { client, definition, id } = run;
  const until = isDone ? rememberedUntil(record, definition.policy) : 0;
  sweepOnce(client);
  // Waiting tabs find the record again, in case a message gets lost.
  const isKept = until > Date.now() || (await client.turns.isAwaited(id));
  if (!isKept) return void (await handle.remove());
  const bare = [record, ...(record.held ?? [])].map(({ identity }) => ({
    identity,
    request: undefined,
  }));
  await handle.replace({ ...withCandidates(record, bare), rememberedUntil: until });
  removeLater(client, id, until);
}

/** Removes a settled record without waiters that is not remembered. */
async function tidy(
  { client, id }: Pick<OperationRun, "client" | "id">,
  handle: RecordHandle,
): Promise<void> {
  const { settledAt, rememberedUntil: until = 0 } = handle.record ?? {};
  if (settledAt === undefined || until > Date.now()) return;
  if (!(await client.turns.isAwaited(id))) await handle.remove();
}

/** Returns what another tab did for the same input while this run waited for its turn. */
export async function takeOver(
  run: OperationRun,
  handle: RecordHandle,
): Promise<Conclusion | undefined> {
  if (run.options.again) return undefined;
  const result = await receiveResult(run, handle.record);
  if (result === undefined) return undefined;
  const current = handle.record?.key === result.key ? handle.record : undefined;
  if (result.kind === "unknown") {
    return current && left({ ...result, ...handles(run, current), ...canResume(run, current) });
  }
  const endings = [{ identity: run.identity, result }];
  if (result.kind === "done") return { result, endings, release: () => tidy(run, handle) };
  if (current?.settledAt === undefined && current && result.earlier === undefined) {
    await release(run, handle, { ...current, settledAt: nextMoment() }, false);
  } else await tidy(run, handle);
  return { result, endings };
}

/** Returns the `unknown` result of a record. */
export function unknown(
  subject: OperationInstance,
  record: OperationRecord,
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
    ...canResume(subject, record),
    ...handles(subject, record),
  };
}

/** Concludes with a result that settles nothing, and notifies no other waiter. */
export function left(result: RunResult<unknown>): Conclusion {
  return { result, endings: [] };
}

/** Returns an unresolved record as a page sees it. */
export function toPending(subject: OperationInstance, record: OperationRecord): PendingOperation {
  const { operation, instance, key, createdAt: at } = record;
  const about = { operation, instance, key, createdAt: new Date(at) };
  return { ...about, ...canResume(subject, record), ...handles(subject, record) };
}

function canResume({ definition }: OperationInstance, record: OperationRecord) {
  const isOld = whyTooOld(record, definition.policy) !== undefined;
  return { canResume: !isOld && record.request?.sealedBody !== null };
}

/** Returns the functions that go on with a record. */
function handles(subject: OperationInstance, record: OperationRecord) {
  const ask =
    (mode: "resume" | "check") =>
    (options: RunOptions = {}): Promise<RunResult<unknown>> =>
      askAgain(subject, record, options, mode);
  return {
    resume: ask("resume"),
    forget: () => forget(subject, record),
    ...(subject.definition.policy.statusCheck ? { check: ask("check") } : {}),
  };
}

/** Stands for the end of an operation that the client does not remember. */
const UNKNOWN_MOMENT = 0;

/** Goes on with a record, unless a run of the same is under way: then this is that run. */
function askAgain(
  subject: OperationInstance,
  record: OperationRecord,
  options: RunOptions,
  mode: "resume" | "check",
): Promise<RunResult<unknown>> {
  const { identity, key } = record;
  const { client, definition, id } = subject;
  const request = { ...subject, mode, identity, key, options, askedAt: nextMoment() };
  return runExclusive(request, async (run) => {
    const handle = await client.records.open(id);
    const received = await takeOver(run, handle);
    if (received !== undefined) return received;
    const found = isAt(handle, record) ? handle.record : undefined;
    const manner = mode === "check" ? "check" : "again";
    if (found !== undefined && found.settledAt === undefined) {
      // With all that was sent under its key since: what is refused of one of them does not settle the others.
      return settle(run, handle, moveToFront(found, identity) ?? found, manner);
    }
    // It was settled since it was listed, and the server's record is the answer; a rejected one would start if it was sent.
    const isRemembered = found !== undefined && hasIdentity(found, identity);
    const canLook = definition.policy.statusCheck && !isRemembered;
    const settledAt = (isRemembered ? found.settledAt : undefined) ?? UNKNOWN_MOMENT;
    const settled = { ...record, held: undefined, settledAt };
    return settle(run, handle, settled, canLook ? "check" : manner);
  });
}

/** Gives up a record once no run of its instance is under way; what has been sent under its key since stays. */
async function forget(subject: OperationInstance, record: OperationRecord): Promise<void> {
  const { client, definition, id } = subject;
  const { identity } = record;
  const { deadlineMs: waitMs } = definition.policy;
  const ask = { id, identity: `forget ${identity}`, signal: undefined, waitMs };
  await client.turns.run(ask, async () => {
    const handle = await client.records.open(id);
    if (handle.record?.settledAt !== undefined) await tidy({ client, id }, handle);
    else if (isAt(handle, record) && handle.record) {
      const rest = without(handle.record, record);
      if (rest !== undefined) await handle.replace(rest);
      else if (await handle.remove()) client.states.set(id, identity, IDLE);
    }
    // No run joins it, so that no caller sees this.
    return undefined as never;
  });
}

// An earlier settlement does not end a later operation, but it may be news to this page.
function endingsOf(isSettled: boolean, identity: string, result: RunResult<unknown>): Ending[] {
  if (!isSettled) return [{ identity, result }];
  return result.kind === "done" ? [{ identity, result, isReplay: true }] : [];
}
