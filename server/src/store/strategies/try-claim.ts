/** Tries to claim a ticket whose handler writes in the transaction that holds the claim. */
import { RecordedClaim, UnrecordedClaim } from "../claims/transaction-claim.ts";
import type { ClaimParts } from "../claims/transaction-claim.ts";
import type { Statement, StatementResult } from "../postgres/batch.ts";
import type { Connection } from "../postgres/connection.ts";
import { abandon, ask, askToBegin, gaveUpOn } from "../postgres/transaction.ts";
import { openReplay } from "../record-codec.ts";
import { readInFlight } from "../record.ts";
import { recordIn, withConnection } from "../round-trip.ts";
import type { StoreParts } from "../store-parts.ts";
import type { BeginOutcome, InFlight, OpenOutcome } from "../store.ts";

/**
 * The outcomes of a try whose claim is a transaction: a crash leaves nothing of it. The fingerprint
 * of a running request is the row's own.
 */
export type TryOutcome = Exclude<BeginOutcome, { readonly kind: "crashed" | "conflict" | "busy" }>;

/** Statements of one try of a strategy, and the interpretation of their results. */
export interface Try {
  readonly batch: readonly Statement[];
  /** Whether the results mean that the ticket is ours. */
  readonly isOurs: (results: readonly StatementResult[]) => boolean;
  /** Reads the row of the running request, if the strategy commits one. */
  readonly running?: Statement;
}

/**
 * Tries again if the table was locked, as when a partition comes or goes: the ticket may be finished. The second try waits for up
 * to 5 s.
 *
 * @param once one try, which waits for the table (`mayWait`) or gives up at once.
 */
export async function tryBehindLock<Outcome extends { readonly kind: string }>(
  once: (mayWait: boolean) => Promise<Outcome | InFlight>,
): Promise<Outcome | InFlight> {
  const outcome = await once(false);
  return "isTableLocked" in outcome ? once(true) : outcome;
}

/**
 * Sends one try, whose last statement is the look-up that decides, and turns the answer into an outcome. A statement that gave
 * up waiting for a row means that another transaction runs the ticket.
 */
export async function tryClaim(
  connection: Connection,
  { batch, isOurs, running }: Try,
  claim: ClaimParts,
): Promise<TryOutcome> {
  let results: readonly StatementResult[];
  const askedAt = performance.now();
  try {
    results = await askToBegin(connection, batch);
  } catch (error) {
    const obstacle = gaveUpOn(error);
    if (obstacle === undefined) throw error;
    await abandon(connection);
    return { kind: "in-flight", ...(obstacle === "table" && { isTableLocked: true }) };
  }
  const record = recordIn(results.at(-1), askedAt);
  if (record !== undefined) {
    // Nothing that counts was written, so no request has to wait for the rollback.
    void abandon(connection);
    return openReplay(record, claim.ticket, claim.codec);
  }
  if (isOurs(results)) return { kind: "claimed", claim: new RecordedClaim(connection, claim) };
  return inFlight(connection, running);
}

/** Gives the connection back, and reads on the way which request runs: whatever it finds by now is only a hint. */
async function inFlight(connection: Connection, running: Statement | undefined): Promise<InFlight> {
  const found = running && (await ask(connection, [running]));
  await abandon(connection);
  return readInFlight(found?.[0]?.rows[0]);
}

/** A transaction without a record. */
export function openUnrecorded({ connect, statements }: StoreParts): Promise<OpenOutcome> {
  return withConnection(connect, async (connection) => {
    await askToBegin(connection, statements.open);
    return { kind: "claimed", claim: new UnrecordedClaim(connection) };
  });
}
