/** Turns a click into an operation: an unresolved record comes first, and only then a new key. */
import { EarlierOperationExistsError, IdempotencyError, isKey, KEY_RULE } from "@oncekey/shared";
import { hasIdentity } from "../records/record.ts";
import type { OperationRecord, SendableRecord } from "../records/record.ts";
import type { RecordHandle } from "../records/record-store.ts";
import type { CodedError, Rejected, RunOptions, RunResult, Settled, Unknown } from "./result.ts";
import { unknownBecause } from "../retry/loop-result.ts";
import type { LoopResult } from "../retry/loop-result.ts";
import { isOpen } from "./tab-message.ts";
import type { PreparedRequest } from "../wire/request.ts";
import { reasonOf } from "../wire/timeout.ts";
import { warnOfChange } from "./changed-input.ts";
import { addRequest, moveToFront, withInput, withRequest } from "./held-requests.ts";
import { whyTooOld } from "./key-lifetime.ts";
import type { Conclusion, OperationRun, RunRequest } from "./operation-run.ts";
import { runExclusive } from "./run-exclusive.ts";
import { conclude, left, send, settle, takeOver, unknown } from "./settle.ts";

/** A request, or the function that reads its body. */
export type Preparation = PreparedRequest | (() => Promise<PreparedRequest>);

/**
 * Runs an operation. An unresolved record of the same instance comes first: with the same identity it is this operation, and is
 * sent again as it was written. With another one, the new request goes out under the earlier key (`hold`), or the earlier operation
 * is settled and nothing else is sent (`resolve-first`). Only settled or unused records make room for a new key.
 */
export function runOperation(
  request: RunRequest,
  preparation: Preparation,
): Promise<RunResult<unknown>> {
  // Read while the click is fresh: a form may have changed by the time of its turn.
  const reading = typeof preparation === "function" ? preparation() : preparation;
  if (reading instanceof Promise) reading.catch(() => undefined);
  return runExclusive(request, async (run) => runInTurn(run, await reading));
}

/** Another tab may write in between again and again only if it takes no turns, such as without Web Locks. */
const MAX_ROUNDS = 20;

async function runInTurn(run: OperationRun, request: PreparedRequest): Promise<Conclusion> {
  const { client, turn } = run;
  for (let round = 0; round < MAX_ROUNDS; round += 1) {
    const handle = await client.records.open(run.id);
    if (handle.laterKey !== undefined) return concludeLater(run, handle.laterKey);
    const received = await takeOver(run, handle);
    if (received !== undefined) return received;
    const found = handle.record;
    if (found !== undefined && isOpen(found, run) && !isForgotten(found, run)) {
      const conclusion = await settleFound(run, handle, request);
      if (conclusion !== undefined) return conclusion;
    } else {
      const fresh = mint(run, request);
      if (!turn.isAlone) return concludeUnstarted(run, fresh.key);
      // The page may end before it removes what an aborted run wrote, and the next page would send that.
      // It may replace a remembered key that an owner who has signed out needs later.
      if (turn.signal.aborted || client.owner() !== run.owner)
        return concludeUnstarted(run, fresh.key, "Stopped");
      // Before the first byte: what is not written down is lost with the page.
      if (await handle.replace(fresh)) return start(run, handle, fresh);
    }
  }
  return concludeUnstarted(run, mint(run, request).key);
}

// A settled key that the server may have forgotten would run a second time.
function isForgotten(found: OperationRecord, { definition }: OperationRun): boolean {
  return found.settledAt !== undefined && whyTooOld(found, definition.policy) !== undefined;
}

/** Goes on with a record; `undefined` if another tab has changed it. */
async function settleFound(
  run: OperationRun,
  handle: RecordHandle,
  request: PreparedRequest,
): Promise<Conclusion | undefined> {
  const { identity, definition, turn } = run;
  const found = handle.record;
  if (found === undefined) return undefined;
  if (found.settledAt !== undefined) {
    return settle(run, handle, withRequest(found, identity, request), "again");
  }
  if (hasIdentity(found, identity)) {
    const known = moveToFront(found, identity) ?? found;
    // A body that was left out of the storage comes from the input, if the key may still be sent.
    const isLost = known.request?.sealedBody !== undefined && !whyTooOld(found, definition.policy);
    const chosen = isLost ? withInput(known, identity, request) : known;
    if (chosen !== found && !(await handle.replace(chosen))) return undefined;
    return settle(run, handle, chosen, "again");
  }
  try {
    warnOfChange(run, found, request);
  } catch {
    // Without a bundler there is no way to know that this is development.
  }
  if (turn.signal.aborted) return left(stoppedBefore(run, found));
  const { policy } = definition;
  if (policy.onChange === "resolve-first" || whyTooOld(found, policy))
    return settleEarlier(run, handle, found);
  // Before it is sent: later runs have to know that the server may have run it.
  if (!(await handle.replace(addRequest(found, identity, request)))) return undefined;
  return handle.record && settle(run, handle, handle.record, "again");
}

/** Settles an earlier operation, and stops: one run never places two orders. */
async function settleEarlier(
  run: OperationRun,
  handle: RecordHandle,
  found: OperationRecord,
): Promise<Conclusion> {
  const tried = new Set<string>();
  for (let record = found; ; record = handle.record ?? found) {
    tried.add(record.identity);
    const conclusion = await settle(run, handle, record, "again");
    const { result } = conclusion;
    if (result.kind === "unknown") return { ...conclusion, result: { ...result, earlier: true } };
    const isLeft = result.kind === "rejected" && result.earlier !== undefined;
    // Each request under a key has its turn, once.
    if (isLeft && handle.record && !tried.has(handle.record.identity)) continue;
    if (isLeft) return conclusion;
    const before = result.kind === "rejected" ? result.earlierResult : undefined;
    const stopped = comesAfter(before ?? result);
    // Tabs that wait with the same input have to see the earlier result as well.
    const endings = [...conclusion.endings, { identity: run.identity, result: stopped }];
    return { ...conclusion, result: stopped, endings };
  }
}

function comesAfter(earlierResult: Settled): Rejected {
  const { key, attempts } = earlierResult;
  const message = "An earlier operation exists: run again to start this one";
  const error = new EarlierOperationExistsError(message, { key });
  return { kind: "rejected", error, key, attempts, earlierResult };
}

async function start(
  run: OperationRun,
  handle: RecordHandle,
  written: SendableRecord,
): Promise<Conclusion> {
  let record = written;
  // A key that the operation makes cannot be made anew by a corrected clock.
  const renew = run.makeKey
    ? undefined
    : async (): Promise<LoopResult | undefined> => {
        if (run.turn.signal.aborted) return undefined;
        const next = mint(run, record.request);
        // Another tab has the place now, with a key of its own.
        if (!(await handle.replace(next))) return undefined;
        record = next;
        return send(run, record, "first");
      };
  const result = await run.client.minter.sendFresh(send(run, record, "first"), renew);
  return conclude(run, handle, record, result);
}

function mint(run: OperationRun, request: PreparedRequest): SendableRecord {
  const { client, definition, owner, instance, identity, makeKey } = run;
  const key = makeKey?.() ?? client.minter.mint();
  if (!isKey(key)) {
    throw new TypeError(`${definition.name}.key must return ${KEY_RULE}`);
  }
  const operation = definition.name;
  return { version: 1, owner, operation, instance, identity, key, createdAt: Date.now(), request };
}

function concludeUnstarted(
  { turn, identity }: OperationRun,
  key: string,
  why = "Another run may have started it",
): Conclusion {
  const cause: unknown = turn.signal.aborted ? reasonOf(turn.signal) : undefined;
  const error = new IdempotencyError(`${why}; nothing was sent`, undefined, { key, cause });
  const result = { kind: "rejected", error: error as CodedError, key, attempts: 0 } as const;
  return { result, endings: [{ identity, result, isReplay: true }] };
}

function stoppedBefore(run: OperationRun, found: OperationRecord): Unknown<unknown> {
  const why = "Stopped; the outcome is unknown";
  const error = unknownBecause(reasonOf(run.turn.signal), why, found.key);
  return { ...unknown(run, found, { error, attempts: 0 }), earlier: true };
}

/** Concludes for the record of a later release: this release cannot read it, and sends nothing. */
function concludeLater(run: OperationRun, key: string): Conclusion {
  const { client, id, identity } = run;
  const why = "A later release left an operation unresolved: reload the page";
  const error = unknownBecause(undefined, why, key);
  // By then the later release may have settled it.
  const readAgain = (options: RunOptions = {}): Promise<RunResult<unknown>> =>
    runExclusive({ ...run, options }, async (next) => {
      const { laterKey } = await client.records.open(id);
      return concludeLater({ ...next, identity }, laterKey ?? key);
    });
  return left({
    kind: "unknown",
    key,
    error: error as CodedError,
    attempts: 0,
    earlier: true,
    canResume: false,
    resume: readAgain,
    ...(run.definition.policy.statusCheck ? { check: readAgain } : {}),
    forget: () => client.records.removeAll(id),
  });
}
