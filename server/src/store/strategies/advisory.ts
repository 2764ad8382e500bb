/** The `advisory` strategy: everything in the handler's own transaction, guarded by an advisory lock, fenced by the primary key. */
import type { StatementResult } from "../postgres/batch.ts";
import { lockId } from "../lock-id.ts";
import { openReplay } from "../record-codec.ts";
import { ticketValues } from "../record.ts";
import type { Store } from "../store.ts";
import type { StoreParts } from "../store-parts.ts";
import { inOneRoundTrip, recordIn, withConnection } from "../round-trip.ts";
import { openUnrecorded, tryClaim } from "./try-claim.ts";

export function createAdvisoryStore(parts: StoreParts): Store {
  const { schema, statements, connect, codec } = parts;
  return {
    begin: (ticket, retention) =>
      withConnection(connect, (connection) => {
        const identity = ticketValues(ticket);
        const lock = {
          text: statements.checkAndLock,
          values: [...identity, lockId(schema, ticket)],
        };
        const batch = [...statements.begin, lock, ...statements.lookupLast(identity)];
        const lockAt = statements.begin.length;
        // Null means that no lock was tried, because the look-up found an expired record: the next
        // try takes it.
        const isOurs = (results: readonly StatementResult[]): boolean =>
          results[lockAt]?.rows[0]?.[0] === "t";
        const fingerprint = codec.fingerprint(ticket);
        const claim = { statements, codec, ticket, fingerprint, retention, relock: lock };
        return tryClaim(connection, { batch, isOurs }, claim);
      }),

    lookup: (ticket) => {
      const identity = ticketValues(ticket);
      return inOneRoundTrip(
        parts,
        [
          { text: statements.checkAndProbe, values: [...identity, lockId(schema, ticket)] },
          { text: statements.lookup, values: identity },
        ],
        "rollback",
        ([probe, found], askedAt) => {
          const record = recordIn(found, askedAt);
          if (record !== undefined) return openReplay(record, ticket, codec);
          return { kind: probe?.rows[0]?.[0] === "f" ? "in-flight" : "absent" };
        },
      );
    },

    open: () => openUnrecorded(parts),
  };
}
