/** The state of a record at this moment, in TypeScript and in SQL. */
import { GIVEN_BACK } from "../sql/lease-statements.ts";

/**
 * The state of a record at this moment.
 *
 * - `running`: a handler is at work. Strategy `row`: or it broke off, and the next request starts it again.
 * - `crashed`: the lease of its owner is over, and what the owner did is not known: `onCrash` decides.
 * - `failed`: it ended without an answer: `onCrash` closed it with `'fail'`, or its handler gave it back after a step.
 * - `finished`: a repeat gets the stored response.
 * - `tombstone`: the response has expired. A repeat gets 410, and nothing runs.
 * - `expired`: as good as absent.
 */
export type RecordState = "running" | "crashed" | "failed" | "finished" | "tombstone" | "expired";

/** Condition of a lease that ended without an answer, and whose effects are not known. */
export const CRASHED: string = `(status is null and owner is not null
  and lease_until <= statement_timestamp() and not ${GIVEN_BACK})`;

/** The predicate of the index `records_open`: repeated by every query that is to use it. */
export const OPEN = "((status is null and owner is not null) or status >= 500)";

/** The state as a column. */
export const STATE: string = `case
  when status is not null and greatest(expires_at, fence_until) <= statement_timestamp() then 'expired'
  when status is not null and (headers is null or expires_at <= statement_timestamp()) then 'tombstone'
  when status >= 500 then 'failed'
  when status is not null then 'finished'
  when ${CRASHED} then 'crashed'
  when lease_until > statement_timestamp() then 'running'
  when expires_at <= statement_timestamp() then 'expired'
  when owner is not null then 'failed'
  else 'running'
end`;
