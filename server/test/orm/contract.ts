/** The contract that `transactional(pool)` keeps for every library, on real Postgres. */
import { boundariesOf } from "./boundaries.ts";
import type { Library } from "./libraries/library.ts";
import { oneRoute } from "./one-route.ts";
import { withPayments } from "./payments.ts";
import { transactionsOf } from "./transactions.ts";
import { writesOf } from "./writes.ts";

/** Runs the contract in the test file that calls it, at its top level. */
export function transactionalContract(library: Library): void {
  const payments = withPayments();
  const route = oneRoute(library, payments);
  writesOf(library.name, route, payments);
  transactionsOf(library.name, route, payments);
  boundariesOf(library, payments);
}
