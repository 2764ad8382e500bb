/** The `unique` strategy: the record's row is inserted first, in the handler's transaction; the primary key keeps all others out. */
import type { StatementResult } from "../postgres/batch.ts";
import { ticketValues } from "../record.ts";
import type { StoreParts } from "../store-parts.ts";
import type { Retention, Store, Ticket } from "../store.ts";
import { withConnection } from "../round-trip.ts";
import { openUnrecorded, tryBehindLock, tryClaim } from "./try-claim.ts";
import type { TryOutcome } from "./try-claim.ts";

export function createUniqueStore(parts: StoreParts): Store {
  const { statements, connect, codec } = parts;

  function tryOnce(ticket: Ticket, retention: Retention, mayWait: boolean): Promise<TryOutcome> {
    return withConnection(connect, (connection) => {
      const identity = ticketValues(ticket);
      const fingerprint = codec.fingerprint(ticket);
      const values = [...identity, fingerprint];
      const batch = [
        ...statements.begin,
        ...(mayWait ? statements.awaitTable : [{ text: statements.impatient }]),
        ...statements.claimUnique.map((text) => ({ text, values })),
        { text: statements.patient },
        ...statements.lookupLast(identity),
      ];
      const claim = { statements, codec, ticket, fingerprint, retention };
      return tryClaim(connection, { batch, isOurs }, claim);
    });
  }

  const begin = (ticket: Ticket, retention: Retention): Promise<TryOutcome> =>
    tryBehindLock((mayWait) => tryOnce(ticket, retention, mayWait));

  return {
    begin,
    // Its own try, taken back: an uncommitted row of another cannot be seen, only run into.
    async lookup(ticket) {
      const outcome = await begin(ticket, { retentionMs: 0, fenceMs: 0 });
      if (outcome.kind !== "claimed") return outcome;
      await outcome.claim.release("free");
      return { kind: "absent" };
    },
    open: () => openUnrecorded(parts),
  };
}

// One row written: either an expired one taken over, or one of our own.
function isOurs(results: readonly StatementResult[]): boolean {
  return results.some(({ tag }) => tag === "UPDATE 1" || tag === "INSERT 0 1");
}
