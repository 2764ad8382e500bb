/** What the strategies share whose handler writes in the transaction that holds the claim. */
import type { Row, Statement, StatementResult } from "./postgres/batch.ts";
import { isPoolTimeout } from "./postgres/connection.ts";
import type { Checkout, Lease } from "./postgres/connection.ts";
import { createRecordedClaim, createUnrecordedClaim } from "./claims/transaction-claim.ts";
import type { Claimed } from "./claims/transaction-claim.ts";
import { readInFlight, readRecord } from "./record.ts";
import type { StoreParts } from "./store-parts.ts";
import type { BeginOutcome, OpenOutcome, StoredRecord, Unavailable } from "./store.ts";
import { abandon, ask, askToEnd, sqlState } from "./postgres/transaction.ts";

/** Takes a connection for `use`, which gives it back; whatever fails on the way is a value. */
export async function withLease<Outcome>(
  checkout: Checkout,
  use: (lease: Lease) => Promise<Outcome>,
): Promise<Outcome | Unavailable> {
  let lease: Lease;
  try {
    lease = await checkout();
  } catch (cause) {
    const why = isPoolTimeout(cause) ? "became free in time" : "could be made";
    return { kind: "unavailable", detail: `No database connection ${why}`, cause };
  }
  try {
    return await use(lease);
  } catch (cause) {
    lease.release("destroy");
    return { kind: "unavailable", detail: "The idempotency store did not answer", cause };
  }
}

/** What a try can come to where the claim is a transaction: a crash leaves nothing of it. */
export type TryOutcome = Exclude<BeginOutcome, { readonly kind: "crashed" | "conflict" }>;

/** How one try of a strategy is asked and read. */
export interface Try {
  readonly batch: readonly Statement[];
  /** Whether the answers say that the ticket is ours. */
  readonly isOurs: (results: readonly StatementResult[]) => boolean;
  /** The row of whoever runs it, where the strategy commits one. */
  readonly running?: (results: readonly StatementResult[]) => Row | undefined;
}

/**
 * Sends one try, whose last statement is the look-up that decides, and turns the answer into an outcome. A statement that gave
 * up waiting (55P03) means that another transaction runs the ticket.
 */
export async function attempt(
  lease: Lease,
  { batch, isOurs, running }: Try,
  claim: Claimed,
): Promise<TryOutcome> {
  let results: readonly StatementResult[];
  const askedAt = performance.now();
  try {
    results = await ask(lease.client, batch);
  } catch (error) {
    if (sqlState(error) !== "55P03") throw error;
    await abandon(lease);
    return { kind: "in-flight" };
  }
  const record = recordIn(results.at(-1), askedAt);
  if (record !== undefined) {
    // Nothing that counts was written: the end of this transaction is nobody's to wait for.
    void abandon(lease);
    return { kind: "replay", record };
  }
  if (isOurs(results)) return { kind: "claimed", claim: createRecordedClaim({ lease, ...claim }) };
  await abandon(lease);
  return readInFlight(running?.(results));
}

/** A transaction without a record. */
export function openUnrecorded({ checkout, statements }: StoreParts): Promise<OpenOutcome> {
  return withLease(checkout, async (lease) => {
    await ask(lease.client, statements.open);
    return { kind: "claimed", claim: createUnrecordedClaim(lease) };
  });
}

/** One transaction in one batch, on a connection that is given back before the answer is used. */
export function inOneFlight<Outcome>(
  { statements, checkout }: StoreParts,
  batch: readonly Statement[],
  end: "commit" | "rollback",
  read: (results: readonly StatementResult[], askedAt: number) => Outcome,
): Promise<Outcome | Unavailable> {
  return withLease(checkout, async (lease) => {
    const askedAt = performance.now();
    const results = await askToEnd(lease.client, [...statements.begin, ...batch, { text: end }]);
    const outcome = read(results.slice(statements.begin.length), askedAt);
    lease.release();
    return outcome;
  });
}

/** The record in the answer of a look-up, if there was one. */
export function recordIn(
  result: StatementResult | undefined,
  askedAt: number,
): StoredRecord | undefined {
  const row = result?.rows[0];
  return row && readRecord(row, askedAt);
}
