/** The `row` strategy: a committed pending row shows that the key was started; a lock on it, in the handler's transaction, says who runs. */
import type { Row, StatementResult } from "./batch.ts";
import { readInFlight, ticketValues } from "./record.ts";
import type { StoreParts } from "./store-parts.ts";
import { sweepExpired } from "./sweep.ts";
import type { Store } from "./store.ts";
import { attempt, inOneFlight, openUnrecorded, recordIn, withLease } from "./transactional.ts";

// The commit of the pending row need not reach the disk by itself: the handler's own commit, behind it in the log, takes it along.
const NO_FLUSH = { text: "set local synchronous_commit = off" };

export function createRowStore(parts: StoreParts): Store {
  const { statements, checkout } = parts;
  return {
    begin: (ticket, retentionMs) =>
      withLease(checkout, (lease) => {
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
          { text: statements.lockRow, values: identity },
          { text: statements.lookup, values: identity },
        ];
        const isOurs = (results: readonly StatementResult[]): boolean =>
          results.at(-2)?.rows.length === 1;
        const running = (results: readonly StatementResult[]): Row | undefined =>
          results.at(-3)?.rows[0];
        return attempt(lease, { batch, isOurs, running }, { statements, ticket, retentionMs });
      }),

    lookup: (ticket) => {
      const identity = ticketValues(ticket);
      return inOneFlight(
        parts,
        [
          { text: statements.pendingRow, values: identity },
          { text: statements.lockRow, values: identity },
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
