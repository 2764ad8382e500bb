/**
 * The `row` strategy: a committed pending row shows that the key was started; a lock on it, in the
 * handler's transaction, decides which request runs.
 */
import type { Statement, StatementResult } from "../postgres/batch.ts";
import { openInFlight, openReplay } from "../record-codec.ts";
import { readInFlight, ticketValues } from "../record.ts";
import { NO_FLUSH } from "../sql/statements.ts";
import type { StoreParts } from "../store-parts.ts";
import type { InFlight, Retention, Store, Ticket, Unavailable } from "../store.ts";
import { abandon, askToBegin, askToEnd } from "../postgres/transaction.ts";
import { inOneRoundTrip, recordIn, withConnection } from "../round-trip.ts";
import { openUnrecorded, tryBehindLock, tryClaim } from "./try-claim.ts";
import type { TryOutcome } from "./try-claim.ts";

export function createRowStore(parts: StoreParts): Store {
  const { statements, codec } = parts;
  return {
    async begin(ticket, retention) {
      const named = { ticket, fingerprint: codec.fingerprint(ticket) };
      const outcome = await tryOnce(parts, named, retention);
      if (!isAnothers(outcome, named)) return openInFlight(outcome, ticket, codec);
      const renamed = await rename(parts, named, retention);
      if (renamed.kind !== "renamed") return openInFlight(renamed, ticket, codec);
      const again = await tryOnce(parts, named, retention);
      // Another has named the row in between, and may not run it either: the next try asks who does.
      return isAnothers(again, named) ? { kind: "in-flight" } : openInFlight(again, ticket, codec);
    },

    lookup: (ticket) => {
      const identity = ticketValues(ticket);
      return inOneRoundTrip(
        parts,
        [
          { text: statements.probeRow, values: identity },
          { text: statements.pendingRow, values: identity },
          { text: statements.lookup, values: identity },
        ],
        "rollback",
        ([idle, pending, found], askedAt) => {
          const record = recordIn(found, askedAt);
          if (record !== undefined) return openReplay(record, ticket, codec);
          // Pending and held: a handler works on it. Pending and not held: a crash or a failure
          // left it behind.
          const row = pending?.rows[0];
          if (row === undefined || idle?.rows.length === 1) return { kind: "absent" };
          return openInFlight(readInFlight(row), ticket, codec);
        },
      );
    },

    open: () => openUnrecorded(parts),
  };
}

/** A ticket, and the fingerprint by which a row names it. */
interface Named {
  readonly ticket: Ticket;
  readonly fingerprint: Buffer;
}

function tryToClaim(
  { statements, connect, codec }: StoreParts,
  { ticket, fingerprint }: Named,
  retention: Retention,
  mayWait: boolean,
): Promise<TryOutcome> {
  const impatience = mayWait
    ? [...statements.awaitTable, { text: NO_FLUSH }]
    : statements.impatientWithoutFlush;
  return withConnection(connect, (connection) => {
    const identity = ticketValues(ticket);
    const pending = [...identity, fingerprint, String(retention.retentionMs)];
    const batch: Statement[] = [
      ...statements.begin,
      ...impatience,
      ...statements.claimRow.map((text) => ({ text, values: pending })),
      ...statements.commitAndBegin,
    ];
    const lockAt = batch.length;
    batch.push(
      { text: statements.lockRow, values: [...identity, fingerprint] },
      ...statements.lookupLast(identity),
    );
    const isOurs = (results: readonly StatementResult[]): boolean =>
      results[lockAt]?.rows.length === 1;
    const running = { text: statements.pendingRow, values: identity };
    const claim = { statements, codec, ticket, fingerprint, retention };
    return tryClaim(connection, { batch, isOurs, running }, claim);
  });
}

function tryOnce(parts: StoreParts, named: Named, retention: Retention): Promise<TryOutcome> {
  return tryBehindLock((mayWait) => tryToClaim(parts, named, retention, mayWait));
}

/** Whether a row is in the way that names another request: it runs, or it left the row behind. */
function isAnothers(outcome: TryOutcome, { fingerprint }: Named): boolean {
  if (outcome.kind !== "in-flight" || outcome.fingerprint === undefined) return false;
  return !outcome.fingerprint.equals(fingerprint);
}

/**
 * Renames an abandoned row to this request, in a transaction of its own, so that all others see it.
 * If it cannot, it returns the obstacle: a handler, or for a moment another request that renames
 * the row.
 */
function rename(
  { statements, connect }: StoreParts,
  { ticket, fingerprint }: Named,
  retention: Retention,
): Promise<{ readonly kind: "renamed" } | InFlight | Unavailable> {
  return withConnection(connect, async (connection) => {
    const identity = ticketValues(ticket);
    const asked = [statements.lockPending, statements.probeRow, statements.pendingRow];
    const look = asked.map((text) => ({ text, values: identity }));
    const results = await askToBegin(connection, [...statements.open, { text: NO_FLUSH }, ...look]);
    const [locked, idle, pending] = results.slice(-look.length);
    if (locked?.rows.length !== 1) {
      await abandon(connection);
      // The name is read after the probe: the holder of the row had already named it.
      return idle?.rows.length === 1 ? { kind: "in-flight" } : readInFlight(pending?.rows[0]);
    }
    const values = [...identity, fingerprint, String(retention.retentionMs)];
    await askToEnd(connection, [{ text: statements.renamePending, values }, { text: "commit" }]);
    connection.release();
    return { kind: "renamed" };
  });
}
