/** A claim that holds no connection: it renews its lease while the handler runs, and every write of it names its owner. */
import { setTimeout as sleep } from "node:timers/promises";
import { publish } from "../../telemetry/events.ts";
import { digestKey } from "../../telemetry/key-digest.ts";
import type { Statement, StatementResult } from "../postgres/batch.ts";
import { startHeartbeat } from "./heartbeat.ts";
import { openSuperseded } from "../record-codec.ts";
import { recordValues, ticketValues } from "../record.ts";
import type { StoreParts } from "../store-parts.ts";
import type {
  Claim,
  Completion,
  Lifetime,
  Release,
  Retention,
  StepMemory,
  StoredRecord,
  StoredResponse,
  Ticket,
  Unavailable,
  Writes,
} from "../store.ts";
import { endingClaim } from "../ending-claim.ts";
import { createLastWrites } from "./last-writes.ts";
import type { LastWrites } from "./last-writes.ts";
import { readSteps } from "./lease-steps.ts";
import type { LeaseSteps } from "./lease-steps.ts";
import { HandlerTimeoutError, LocalCommitError } from "../postgres/transaction.ts";
import { inOneRoundTrip, recordIn } from "../round-trip.ts";

export interface LeaseClaimParts {
  readonly parts: StoreParts;
  readonly ticket: Ticket;
  readonly owner: string;
  readonly durationMs: number;
  readonly retention: Retention;
  readonly attempt: number;
  /** Before the database was asked for the claim, on the clock of `performance.now()`. */
  readonly askedAt: number;
  /** The finished steps of earlier attempts, a JSON object as text. */
  readonly steps: string | null;
  /** Written to the audit in the transaction that stores the answer: for a claim of crash recovery. */
  readonly decision?: { readonly id: string; readonly by: string; readonly reason: string };
}

// Storing is safe to repeat, because it names its owner. A failover takes a few seconds, in which the lease is renewed.
const STORE_TRIES = 5;
const STORE_PAUSE_MS = 200;

const TAKEN_OVER = "another owner took the claim over";

/** A claim was lost to another owner while its handler ran. */
class LeaseLostError extends Error {
  override name = "LeaseLostError";
}

export function createLeaseClaim(claim: LeaseClaimParts): Claim {
  const { parts, ticket, owner, durationMs } = claim;
  const { statements, codec } = parts;
  const own = [...ticketValues(ticket), owner];
  const controller = new AbortController();
  const lastWrites = createLastWrites(parts);
  const lose = (why: string): void => {
    heartbeat.stop();
    if (controller.signal.aborted) return;
    controller.abort(new LeaseLostError(why));
    publish("oncekey:lease-lost", () => ({ keyDigest: digestKey(ticket.key), reason: why }));
  };
  const heartbeat = startHeartbeat({
    durationMs,
    askedAt: claim.askedAt,
    beat: async () => countRows(await renewLease(parts, ticket, owner, durationMs)),
    onBeat: (outcome, beatMs) =>
      publish("oncekey:heartbeat", () => ({ keyDigest: digestKey(ticket.key), outcome, beatMs })),
    onLost: lose,
  });
  const steps = createStepMemory(claim, own, lose);

  async function complete(response: StoredResponse, writes: Writes): Promise<Completion> {
    if (writes === "keep" && lastWrites.isOpen())
      return storeWithWrites(claim, lastWrites, response);
    await lastWrites.abandon();
    return store(claim, response);
  }

  return endingClaim({
    tx: undefined,
    attempt: claim.attempt,
    signal: controller.signal,
    steps: steps.memory,
    lastWrites,
    async complete(response, writes) {
      const completion = await complete(codec.seal(response, ticket), writes);
      heartbeat.stop();
      if (completion.kind === "superseded" || completion.kind === "lost") lose(TAKEN_OVER);
      // The effects before the last writes stand, and the next attempt must not take the key for a free one.
      if (completion.kind === "rolled-back")
        await write(parts, { text: statements.failLease, values: own });
      return openSuperseded(completion, ticket, codec);
    },
    async release(how) {
      heartbeat.stop();
      if (how === "timed-out") controller.abort(new HandlerTimeoutError());
      const blocked = how === "timed-out" ? await lastWrites.terminate() : undefined;
      await lastWrites.abandon();
      // If this does not arrive the lease runs out by itself: then the key counts as crashed.
      await write(parts, releaseStatement(how));
      return blocked;
    },
  });

  function releaseStatement(how: Release): Statement {
    const isInOrder = how === "free" ? !steps.isRunning() : how === "refused" && !steps.hasBegun();
    if (!isInOrder) return { text: statements.failLease, values: own };
    if (steps.kept.isEmpty()) return { text: statements.freeLease, values: own };
    return { text: statements.giveBackLease, values: [...own, steps.kept.givenBackText()] };
  }
}

/** Stores the response in the transaction of the last writes. */
async function storeWithWrites(
  claim: LeaseClaimParts,
  lastWrites: LastWrites,
  response: StoredResponse,
): Promise<Completion> {
  const { parts, ticket, owner } = claim;
  const askedAt = performance.now();
  let found: StoredRecord | undefined;
  const outcome = await lastWrites.end(storeStatements(claim, response), ([stored, record]) => {
    found = recordIn(record, askedAt);
    return rowsOf(stored) === 1;
  });
  switch (outcome.kind) {
    case "committed":
      return { kind: "stored", ...lifetimeOf(found), askedAt, split: false };
    case "refused":
      return found === undefined ? { kind: "lost" } : { kind: "superseded", record: found };
    case "rolled-back":
      return outcome;
    case "unknown":
      if (outcome.cause instanceof LocalCommitError) return outcome;
      return (await findOwn(parts, ticket, owner)) ?? outcome;
    default:
      return outcome satisfies never;
  }
}

/** Looks for the record of a commit whose answer was lost. */
async function findOwn(
  parts: StoreParts,
  ticket: Ticket,
  owner: string,
): Promise<Completion | undefined> {
  for (let tries = 1; tries <= STORE_TRIES; tries += 1) {
    const found = await inOneRoundTrip(
      parts,
      [{ text: parts.statements.lookup, values: ticketValues(ticket) }],
      "rollback",
      ([result], askedAt) => ({ record: recordIn(result, askedAt), askedAt }),
    );
    if ("record" in found && found.record?.owner === owner) {
      const { askedAt } = found;
      return { kind: "stored", ...lifetimeOf(found.record), askedAt, split: false };
    }
    await sleep(STORE_PAUSE_MS);
  }
  return undefined;
}

// If the look-up came after the retention, no other request is answered with the response: a tombstone's lifetime is its fence's.
function lifetimeOf(record: StoredRecord | undefined): Omit<Lifetime, "askedAt"> {
  const { lifetimeMs = 0, fenceMs = 0, isTombstone = false } = record ?? {};
  return { lifetimeMs: isTombstone ? 0 : lifetimeMs, fenceMs };
}

function storeStatements(
  { parts, ticket, owner, retention }: LeaseClaimParts,
  response: StoredResponse,
): Statement[] {
  return [
    {
      text: parts.statements.finishLease,
      values: recordValues(ticket, owner, response, retention),
    },
    { text: parts.statements.lookup, values: ticketValues(ticket) },
  ];
}

/** Safe to repeat, because its id is fixed: of a claim that did not store the answer it writes nothing. */
function auditStatements({ parts, ticket, owner, decision }: LeaseClaimParts): Statement[] {
  if (decision === undefined) return [];
  const { id, by, reason } = decision;
  const text = `insert into "${parts.schema}".decisions
      (id, action, key, scope, target, state, status, decided_by, reason)
    select $5::uuid, 'resolved', key, scope, target, 'crashed', status, $6::text, $7::text
    from "${parts.schema}".records
    where key = $1::text and scope = $2::text and target = $3::text and owner = $4::uuid and status is not null
    on conflict (scope, id) do nothing`;
  return [{ text, values: [...ticketValues(ticket), owner, id, by, reason] }];
}

async function store(claim: LeaseClaimParts, response: StoredResponse): Promise<Completion> {
  for (let tries = 1; ; tries += 1) {
    const outcome = await storeOnce(claim, response);
    if (outcome.kind !== "unavailable") return outcome;
    // Repeated it would find its own record and write nothing, so that no commit waited for the standby again.
    const isLocal = outcome.cause instanceof LocalCommitError;
    if (isLocal || tries === STORE_TRIES) return { kind: "unknown", cause: outcome.cause };
    await sleep(STORE_PAUSE_MS);
  }
}

async function storeOnce(
  claim: LeaseClaimParts,
  response: StoredResponse,
): Promise<Completion | Unavailable> {
  const { parts, ticket, owner, retention } = claim;
  const stored = await inOneRoundTrip(
    parts,
    [...storeStatements(claim, response).slice(0, 1), ...auditStatements(claim)],
    "commit",
    ([result], askedAt) => ({ kind: "written" as const, rows: rowsOf(result), askedAt }),
  );
  if (stored.kind === "unavailable") return stored;
  if (stored.rows === 1)
    return {
      kind: "stored",
      lifetimeMs: retention.retentionMs,
      fenceMs: retention.fenceMs,
      askedAt: stored.askedAt,
      split: false,
    };
  // The row names another owner, or it is finished: by another, or by this one whose first answer was lost.
  return inOneRoundTrip(
    parts,
    [{ text: parts.statements.lookup, values: ticketValues(ticket) }],
    "rollback",
    ([found], askedAt): Completion => {
      const record = recordIn(found, askedAt);
      if (record === undefined) return { kind: "lost" };
      if (record.owner !== owner) return { kind: "superseded", record };
      return { kind: "stored", ...lifetimeOf(record), askedAt, split: false };
    },
  );
}

/** The memory of a handler's steps, and what is known of those that have begun. */
interface Steps {
  readonly memory: StepMemory;
  readonly kept: LeaseSteps;
  /** Whether a step has begun, in this run or an earlier one: its effect may have happened, whatever was thrown. */
  hasBegun(): boolean;
  /** Whether a step has not ended yet. */
  isRunning(): boolean;
}

function createStepMemory(
  { parts, ticket, steps, attempt }: LeaseClaimParts,
  own: readonly string[],
  lose: (why: string) => void,
): Steps {
  const kept = readSteps(steps, attempt);
  let stored = steps;
  let last: Promise<void> = Promise.resolve();
  let begun = 0;
  let ended = 0;

  async function writeAll(): Promise<void> {
    const text = kept.text();
    // The write before this one had its result with it.
    if (text === stored) return;
    const outcome = await write(parts, {
      text: parts.statements.rememberStep,
      values: [...own, text],
    });
    if (outcome.kind === "unavailable") throw outcome.cause;
    if (outcome.rows === 0) {
      lose(TAKEN_OVER);
      throw new LeaseLostError(TAKEN_OVER);
    }
    stored = text;
  }

  return {
    kept,
    hasBegun: () => begun > 0 || !kept.isEmpty(),
    isRunning: () => begun > ended,
    memory: {
      read(name) {
        const text = kept.read(name);
        return text === undefined ? undefined : parts.codec.openStep(text, name, ticket);
      },
      begin() {
        begun += 1;
        return () => {
          ended += 1;
        };
      },
      write(name, json) {
        kept.add(name, parts.codec.sealStep(json, name, ticket));
        // One after the other: on two connections the one with fewer steps could arrive last.
        const turn = last.then(writeAll);
        last = turn.catch(() => {});
        return turn;
      },
    },
  };
}

/** Makes the lease last `durationMs` from now, if the row still names its owner: then one row is changed, else none. */
export function renewLease(
  parts: StoreParts,
  ticket: Ticket,
  owner: string,
  durationMs: number,
): Promise<Written> {
  const values = [...ticketValues(ticket), owner, String(durationMs)];
  return write(parts, { text: parts.statements.renewLease, values });
}

type Written = { readonly kind: "written"; readonly rows: number } | Unavailable;

function write(parts: StoreParts, statement: Statement): Promise<Written> {
  return inOneRoundTrip(parts, [statement], "commit", ([result]): Written => ({
    kind: "written",
    rows: rowsOf(result),
  }));
}

/** Returns the number of changed rows, or `undefined` if it is not known. */
function countRows(written: Written): number | undefined {
  return written.kind === "written" ? written.rows : undefined;
}

function rowsOf(result: StatementResult | undefined): number {
  return Number(result?.tag.split(" ").at(-1) ?? 0);
}
