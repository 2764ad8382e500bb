/** A claim that holds no connection: it renews its lease while the handler runs, and every write of it names its owner. */
import { setTimeout as sleep } from "node:timers/promises";
import { digestKey, publish } from "../../telemetry/events.ts";
import type { Statement, StatementResult } from "../postgres/batch.ts";
import { startHeartbeat } from "./heartbeat.ts";
import { recordValues, ticketValues } from "../record.ts";
import type { StoreParts } from "../store-parts.ts";
import type {
  Claim,
  Completion,
  StepMemory,
  StoredResponse,
  Ticket,
  Unavailable,
} from "../store.ts";
import { HandlerTimeoutError, LocalCommitError } from "../postgres/transaction.ts";
import { inOneRoundTrip, recordIn } from "../round-trip.ts";

export interface LeaseClaimParts {
  readonly parts: StoreParts;
  readonly ticket: Ticket;
  readonly owner: string;
  readonly durationMs: number;
  readonly retentionMs: number;
  readonly attempt: number;
  /** Before the database was asked for the claim, on the clock of `performance.now()`. */
  readonly askedAt: number;
  /** What earlier attempts remembered, a JSON object as text. */
  readonly steps: string | null;
}

// Storing is safe to repeat, because it names its owner. A failover takes a few seconds; the lease goes on meanwhile.
const STORE_TRIES = 5;
const STORE_PAUSE_MS = 200;

const TAKEN_OVER = "another owner took the claim over";

/** A claim was lost to another owner while its handler ran. */
class LeaseLostError extends Error {
  override name = "LeaseLostError";
}

export function createLeaseClaim(claim: LeaseClaimParts): Claim {
  const { parts, ticket, owner, durationMs } = claim;
  const { statements } = parts;
  const own = [...ticketValues(ticket), owner];
  const controller = new AbortController();
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

  return {
    tx: undefined,
    attempt: claim.attempt,
    signal: controller.signal,
    steps: createStepMemory(claim, own, lose),
    async complete(response) {
      const completion = await store(claim, response);
      heartbeat.stop();
      if (completion.kind === "superseded" || completion.kind === "lost") lose(TAKEN_OVER);
      return completion;
    },
    async release(how) {
      heartbeat.stop();
      if (how === "timed-out") controller.abort(new HandlerTimeoutError());
      const text = how === "free" ? statements.freeLease : statements.failLease;
      // Where this does not arrive the lease runs out by itself, with the same effect, only later.
      await write(parts, { text, values: own });
      return undefined;
    },
  };
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

function storeOnce(
  { parts, ticket, owner, retentionMs }: LeaseClaimParts,
  response: StoredResponse,
): Promise<Completion | Unavailable> {
  const [key, scope, target, , status, headers, body] = recordValues(ticket, response, retentionMs);
  const values = [key, scope, target, owner, status, headers, body, String(retentionMs)].map(
    (value) => value ?? null,
  );
  return inOneRoundTrip(
    parts,
    [
      { text: parts.statements.finishLease, values },
      { text: parts.statements.lookup, values: ticketValues(ticket) },
    ],
    "commit",
    ([, found], askedAt): Completion => {
      const record = recordIn(found, askedAt);
      if (record === undefined) return { kind: "lost" };
      // Our own, also where it was stored before and the answer to that was lost.
      if (record.owner === owner)
        return { kind: "stored", lifetimeMs: record.lifetimeMs, askedAt, split: false };
      return { kind: "superseded", record };
    },
  );
}

function createStepMemory(
  { parts, steps }: LeaseClaimParts,
  own: readonly string[],
  lose: (why: string) => void,
): StepMemory {
  const finished = new Map(Object.entries(JSON.parse(steps ?? "{}") as Record<string, string>));
  let stored = steps;
  let last: Promise<void> = Promise.resolve();

  async function writeAll(): Promise<void> {
    const text = JSON.stringify(Object.fromEntries(finished));
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
    read: (name) => finished.get(name),
    write(name, json) {
      finished.set(name, json);
      // One after the other: on two connections the one with fewer steps could arrive last.
      const turn = last.then(writeAll);
      last = turn.catch(() => {});
      return turn;
    },
  };
}

/** Makes the lease last `durationMs` from now, where the row still names its owner: by how many rows were changed. */
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

/** How many rows a statement changed, or `undefined` where it is not known. */
function countRows(written: Written): number | undefined {
  return written.kind === "written" ? written.rows : undefined;
}

function rowsOf(result: StatementResult | undefined): number {
  return Number(result?.tag.split(" ").at(-1) ?? 0);
}
