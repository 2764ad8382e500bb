/** The `row` strategy: a committed pending row shows that the key was started; a lock on it, in the handler's transaction, says who runs. */
import type { Row, StatementResult } from "./batch.ts";
import { readInFlight, ticketValues } from "./record.ts";
import type { StoreParts } from "./store-parts.ts";
import { sweepExpired } from "./sweep.ts";
import type { Store, Ticket, Unavailable } from "./store.ts";
import { abandon, ask, askToEnd } from "./transaction.ts";
import { attempt, inOneFlight, openUnrecorded, recordIn, withLease } from "./transactional.ts";
import type { TryOutcome } from "./transactional.ts";

// The commit of the pending row need not reach the disk by itself: the handler's own commit, behind it in the log, takes it along.
const NO_FLUSH = { text: "set local synchronous_commit = off" };

export function createRowStore(parts: StoreParts): Store {
  const { statements } = parts;
  return {
    async begin(ticket, retentionMs) {
      const outcome = await tryOnce(parts, ticket, retentionMs);
      if (!isAnothers(outcome, ticket)) return outcome;
      const renamed = await rename(parts, ticket, retentionMs);
      if (renamed.kind === "unavailable") return renamed;
      return renamed.kind === "held" ? outcome : tryOnce(parts, ticket, retentionMs);
    },

    lookup: (ticket) => {
      const identity = ticketValues(ticket);
      return inOneFlight(
        parts,
        [
          { text: statements.pendingRow, values: identity },
          { text: statements.lockPending, values: identity },
          { text: statements.lookup, values: identity },
        ],
        "rollback",
        ([pending, locked, found], askedAt) => {
          const record = recordIn(found, askedAt);
          if (record !== undefined) return { kind: "replay", record };
          // Pending and not to be had: somebody works on it. Pending and to be had: a crash or a failure left it behind.
          const row = pending?.rows[0];
          if (row === undefined || locked?.rows.length === 1) return { kind: "absent" };
          return readInFlight(row);
        },
      );
    },

    open: () => openUnrecorded(parts),
    sweep: (batchSize) => sweepExpired(parts, batchSize),
  };
}

function tryOnce(
  { statements, checkout }: StoreParts,
  ticket: Ticket,
  retentionMs: number,
): Promise<TryOutcome> {
  return withLease(checkout, (lease) => {
    const identity = ticketValues(ticket);
    const pending = [...identity, ticket.fingerprint, String(retentionMs)];
    const batch = [
      ...statements.begin,
      { text: statements.impatient },
      NO_FLUSH,
      { text: statements.claimRow, values: pending },
      { text: statements.reclaimRow, values: pending },
      { text: "commit" },
      ...statements.open,
      { text: statements.pendingRow, values: identity },
      { text: statements.lockRow, values: [...identity, ticket.fingerprint] },
      { text: statements.lookup, values: identity },
    ];
    const isOurs = (results: readonly StatementResult[]): boolean =>
      results.at(-2)?.rows.length === 1;
    const running = (results: readonly StatementResult[]): Row | undefined =>
      results.at(-3)?.rows[0];
    return attempt(lease, { batch, isOurs, running }, { statements, ticket, retentionMs });
  });
}

/** Whether a row is in the way that names another request: it runs, or it left the row behind. */
function isAnothers(outcome: TryOutcome, { fingerprint }: Ticket): boolean {
  if (outcome.kind !== "in-flight" || outcome.fingerprint === undefined) return false;
  return !outcome.fingerprint.equals(fingerprint);
}

/** Names a row that nobody works on after this request, in a transaction of its own: from then on all see whom it is for. */
function rename(
  { statements, checkout }: StoreParts,
  ticket: Ticket,
  retentionMs: number,
): Promise<{ readonly kind: "renamed" | "held" } | Unavailable> {
  return withLease(checkout, async (lease) => {
    const identity = ticketValues(ticket);
    const lock = { text: statements.lockPending, values: identity };
    const [locked] = (await ask(lease.client, [...statements.open, NO_FLUSH, lock])).slice(-1);
    if (locked?.rows.length !== 1) {
      await abandon(lease);
      return { kind: "held" };
    }
    const values = [...identity, ticket.fingerprint, String(retentionMs)];
    await askToEnd(lease.client, [{ text: statements.renamePending, values }, { text: "commit" }]);
    lease.release();
    return { kind: "renamed" };
  });
}
