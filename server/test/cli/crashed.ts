/** Crashed leases for tests of the command. */
import type pg from "pg";
import { createStoreParts } from "../../src/store/store-parts.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import type { Ticket } from "../../src/store/store.ts";
import { claimed, createTicket } from "../support/store-contract.ts";

/** Leaves a lease behind whose handler did not finish. */
export async function crashed(pool: pg.Pool, ids: Partial<Ticket> = {}): Promise<Ticket> {
  const ticket = { ...createTicket(), target: "POST /payments", ...ids };
  const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
  const claim = await claimed(store, ticket);
  await claim.release("failed");
  return ticket;
}
