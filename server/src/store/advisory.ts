/** The `advisory` strategy: everything in the handler's own transaction, guarded by an advisory lock, fenced by the primary key. */
import type { Pool } from "pg";
import { createCheckout } from "./checkout.ts";
import type { Lease } from "./checkout.ts";
import { lockId } from "./lock-id.ts";
import { readRecord, ticketValues } from "./record.ts";
import { createRecordedClaim, createUnrecordedClaim } from "./claim.ts";
import { createStatements } from "./statements.ts";
import type { BeginOutcome, LookupOutcome, Store, Ticket, Unavailable } from "./store.ts";
import { abandon, ask } from "./transaction.ts";

/** @param schema already checked against `SCHEMA_NAME`. */
export function createAdvisoryStore(pool: Pool, schema: string): Store {
  const statements = createStatements(schema);
  const checkout = createCheckout(pool);
  const opening = [{ text: statements.begin }, { text: statements.limits }];

  async function begin(ticket: Ticket, retentionMs: number): Promise<BeginOutcome> {
    return withLease(checkout, async (lease) => {
      const identity = ticketValues(ticket);
      const [, , locked, found] = await ask(lease.client, [
        ...opening,
        { text: statements.checkAndLock, values: [...identity, lockId(schema, ticket)] },
        { text: statements.lookup, values: identity },
      ]);
      const row = found?.rows[0];
      if (row !== undefined) {
        const record = readRecord(row);
        // Nothing was written: the end of this transaction is nobody's to wait for.
        void abandon(lease);
        return { kind: "replay", record };
      }
      if (locked?.rows[0]?.[0] !== "t") {
        // Also where the record expired between check and look-up: then no lock was asked for, and the next try takes it.
        await abandon(lease);
        return { kind: "in-flight" };
      }
      const claim = createRecordedClaim({ lease, statements, ticket, retentionMs });
      return { kind: "claimed", claim };
    });
  }

  async function lookup(ticket: Ticket): Promise<LookupOutcome> {
    return withLease(checkout, async (lease) => {
      const identity = ticketValues(ticket);
      const [, probe, found] = await ask(lease.client, [
        { text: statements.begin },
        { text: statements.checkAndProbe, values: [...identity, lockId(schema, ticket)] },
        { text: statements.lookup, values: identity },
        { text: "rollback" },
      ]);
      const row = found?.rows[0];
      const record = row && readRecord(row);
      lease.release();
      if (record !== undefined) return { kind: "replay", record };
      return { kind: probe?.rows[0]?.[0] === "f" ? "in-flight" : "absent" };
    });
  }

  return {
    begin,
    lookup,
    open: () =>
      withLease(checkout, async (lease) => {
        await ask(lease.client, opening);
        return { kind: "claimed", claim: createUnrecordedClaim(lease) };
      }),
    sweep: async (batchSize) => (await pool.query(statements.sweep, [batchSize])).rowCount ?? 0,
  };
}

async function withLease<Outcome>(
  checkout: () => Promise<Lease>,
  use: (lease: Lease) => Promise<Outcome>,
): Promise<Outcome | Unavailable> {
  let lease: Lease;
  try {
    lease = await checkout();
  } catch (cause) {
    return { kind: "unavailable", detail: "No database connection became free in time", cause };
  }
  try {
    return await use(lease);
  } catch (cause) {
    lease.release("destroy");
    return { kind: "unavailable", detail: "The idempotency store did not answer", cause };
  }
}
