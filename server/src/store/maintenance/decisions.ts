/** Decisions about records: each is written to the audit in the transaction that carries it out. */
import { randomUUID } from "node:crypto";
import type { Pool } from "pg";
import { publish } from "../../telemetry/events.ts";
import { digestKey } from "../../telemetry/key-digest.ts";
import type { Statement, StatementResult } from "../postgres/batch.ts";
import { queryPlain } from "../postgres/plain-query.ts";
import { gaveUpOn } from "../postgres/transaction.ts";
import { recordValues } from "../record.ts";
import { inOneRoundTrip } from "../round-trip.ts";
import type { StoreParts } from "../store-parts.ts";
import type { Retention, StoredResponse, Unavailable } from "../store.ts";
import { readCursor, writeCursor } from "./list.ts";
import { STATE } from "./record-state.ts";
import type { RecordState } from "./record-state.ts";
import { instant } from "./table-record.ts";
import type { TableRecord } from "./table-record.ts";

/** The person or process that decides, and the reason. Both go into the audit. */
export interface DecisionReason {
  /** The person or process that decides, 1–200 characters. */
  readonly by: string;
  /** 1–1,000 characters, such as the number of a ticket. */
  readonly reason: string;
}

/** A row of the audit. */
export interface Decision extends DecisionReason {
  /** `resolved`: an answer was stored. `forgotten`: deleted, so that it runs again. `expired`: a crash without a decision. */
  readonly action: "resolved" | "forgotten" | "expired";
  readonly scope: string;
  /** `null` if a whole scope was forgotten. */
  readonly key: string | null;
  readonly target: string | null;
  /** The state of the record before the decision; `null` for a whole scope. */
  readonly state: RecordState | null;
  /** The status of the answer that was stored or deleted, if there was one. */
  readonly status: number | null;
  /** Number of records. */
  readonly records: number;
  /** ISO 8601 in UTC with microseconds, by the clock of the database. */
  readonly at: string;
}

/** Names one record. */
export type OneRecord = Pick<TableRecord, "key" | "scope" | "target" | "createdAt">;

const THIS = "key = $1::text and scope = $2::text and target = $3::text";
const NOT_HELD = "(lease_until is null or lease_until <= statement_timestamp())";
const AUDITED = "id, action, key, scope, target, state, status, decided_by, reason";

/** How it ended. `changed`: it is not the record that was looked at any more, or gone. `held`: a handler is at work on it. */
export type DecisionOutcome = "done" | "changed" | "held";

/**
 * Stores an answer for a record as it was found. Two people who decide at once, or a retry that takes the lease over: the second
 * to touch the row finds another state and changes nothing.
 *
 * @param stored as it stands in the row: sealed if the record is.
 */
export async function resolveRecord(
  parts: StoreParts,
  record: OneRecord & Pick<TableRecord, "state" | "fingerprint">,
  stored: StoredResponse,
  retention: Retention,
  { by, reason }: DecisionReason,
): Promise<DecisionOutcome> {
  const records = `"${parts.schema}".records`;
  const { key, scope, target, createdAt, state } = record;
  const values = recordValues(record, Buffer.from(record.fingerprint, "hex"), stored, retention);
  const me = randomUUID();
  const outcome = await decide(parts, record, [
    {
      // The row names who decided it, as it names the owner that finished a lease.
      text: `update ${records} set status = $5::smallint, headers = $6::text, body = $7::bytea, owner = $10::uuid,
          lease_until = null, steps = null, recoveries = null, recover_at = null,
          created_at = statement_timestamp(),
          expires_at = statement_timestamp() + $8::bigint * interval '1 millisecond',
          fence_until = statement_timestamp() + $9::bigint * interval '1 millisecond'
        where ${THIS} and fingerprint = $4::bytea and created_at = $11::timestamptz
          and (status is null or status >= 500) and ${NOT_HELD}`,
      values: [...values, me, createdAt],
    },
    {
      text: `insert into "${parts.schema}".decisions (${AUDITED})
        select gen_random_uuid(), 'resolved', key, scope, target, $5::text, status, $6::text, $7::text
        from ${records} where ${THIS} and owner = $4::uuid and status is not null`,
      values: [key, scope, target, me, state, by, reason],
    },
  ]);
  if (outcome === "done") {
    const { status } = stored;
    publish("oncekey:resolved", () => ({ keyDigest: digestKey(key), status, state }));
  }
  return outcome;
}

/**
 * Deletes a record as it was found, so that its key runs again. A record that has changed since, or whose owner's lease still
 * runs, stays. Throws what the database throws.
 */
export async function forgetRecord(
  parts: StoreParts,
  record: OneRecord,
  { by, reason }: DecisionReason,
): Promise<DecisionOutcome> {
  // Every new owner and every end of one sets created_at: beside a handler that ends in this moment, the second to touch
  // the row sees another instant and changes nothing. A row that a handler holds is not waited for.
  const records = `"${parts.schema}".records`;
  const { key, scope, target, createdAt } = record;
  const thisOne = `${THIS} and created_at = $4::timestamptz and ${NOT_HELD}`;
  const found = [key, scope, target, createdAt];
  const outcome = await decide(parts, record, [
    { text: `select from ${records} where ${thisOne} for update`, values: found },
    {
      text: `insert into "${parts.schema}".decisions (${AUDITED})
          select gen_random_uuid(), 'forgotten', key, scope, target, ${STATE}, status, $5::text, $6::text
          from ${records} where ${thisOne}`,
      values: [...found, by, reason],
    },
    { text: `delete from ${records} where ${thisOne}`, values: found },
  ]);
  if (outcome === "done")
    publish("oncekey:forgotten", () => ({ keyDigest: digestKey(key), records: 1 }));
  return outcome;
}

/** Sends the statements; the last one changes one row, or the decision came too late. */
async function decide(
  parts: StoreParts,
  record: OneRecord,
  statements: readonly Statement[],
): Promise<DecisionOutcome> {
  const { impatient, awaitTable } = parts.statements;
  let outcome = await decideOnce(parts, record, [{ text: impatient }, ...statements]);
  // For a partition that comes or goes: the record is as it was.
  if (outcome.kind === "unavailable" && gaveUpOn(outcome.cause) === "table")
    outcome = await decideOnce(parts, record, [...awaitTable, ...statements]);
  if (outcome.kind !== "unavailable") return outcome.kind;
  if (gaveUpOn(outcome.cause) !== undefined) return "held";
  throw outcome.cause;
}

function decideOnce(
  parts: StoreParts,
  { key, scope, target }: OneRecord,
  statements: readonly Statement[],
): Promise<{ readonly kind: DecisionOutcome } | Unavailable> {
  const running = `select from "${parts.schema}".records where ${THIS} and lease_until > statement_timestamp()`;
  const batch = [...statements, { text: running, values: [key, scope, target] }];
  return inOneRoundTrip<{ readonly kind: DecisionOutcome }>(parts, batch, "commit", (results) => {
    const [changed, leased] = results.slice(-3, -1);
    if (rowsOf(changed) === 1) return { kind: "done" };
    return { kind: leased?.rows.length === 1 ? "held" : "changed" };
  });
}

function rowsOf(result: StatementResult | undefined): number {
  return Number(result?.tag.split(" ").at(-1) ?? 0);
}

/** Number of records of a scope that were deleted, and of those that a handler is at work on. */
export interface ForgottenScope {
  readonly forgotten: number;
  readonly held: number;
}

// Rows that one transaction reads: the primary key begins with the key, so that a scope is looked for in the whole table.
const READ_ROWS = 5_000;

/**
 * Deletes all records of a scope in batches, each with a row in the audit. Two at once, or a retry beside it: `skip locked` passes
 * over the rows that the other has, and each row is deleted, and counted, by one. Throws what the database throws.
 */
export async function forgetScope(
  parts: StoreParts,
  scope: string,
  { by, reason }: DecisionReason,
): Promise<ForgottenScope> {
  const records = `"${parts.schema}".records`;
  if (parts.dialect.kind === "citus") return forgetShard(parts, scope, { by, reason });
  let total: ForgottenScope = { forgotten: 0, held: 0 };
  let from: (string | null)[] = [null, null, null];
  for (;;) {
    const values = [scope, by, reason, ...from, String(READ_ROWS)];
    const outcome = await inOneRoundTrip(
      parts,
      [
        {
          // A ctid names a row of one partition only.
          text: `with seen as materialized (
              select tableoid as part, ctid as id, key, scope, target from ${records}
              where $4::text is null or (key, scope, target) > ($4::text, $5::text, $6::text)
              order by key, scope, target limit $7::int
            ),
            locked as materialized (
              select tableoid as part, ctid as id from ${records}
              where ctid = any (array(select id from seen where scope = $1::text))
                and (tableoid, ctid) in (select part, id from seen) and scope = $1::text and ${NOT_HELD}
              for update skip locked
            ),
            gone as (
              delete from ${records} where ctid = any (array(select id from locked))
                and (tableoid, ctid) in (select part, id from locked)
              returning 1
            ),
            counted as (select count(*)::int as records from gone),
            audited as (
              insert into "${parts.schema}".decisions (id, action, scope, decided_by, reason, records)
              select gen_random_uuid(), 'forgotten', $1::text, $2::text, $3::text, records
              from counted where records > 0 returning 1
            )
            select (select records from counted), (select count(*) from seen where scope = $1::text),
              (select count(*) from seen), key, scope, target
            from (values (1)) as always left join (
              select key, scope, target from seen order by key desc, scope desc, target desc limit 1
            ) as last on true`,
          values,
          isPlannedAnew: true,
        },
      ],
      "commit",
      ([result]) => ({ kind: "forgotten" as const, row: result?.rows[0] ?? [] }),
    );
    if (outcome.kind === "unavailable") throw outcome.cause;
    const [forgotten, found, seen, ...last] = outcome.row;
    const gone = Number(forgotten);
    total = {
      forgotten: total.forgotten + gone,
      held: total.held + Number(found) - gone,
    };
    if (Number(seen) < READ_ROWS) break;
    from = last.map((part) => part ?? null);
  }
  publish("oncekey:forgotten", () => ({ keyDigest: undefined, records: total.forgotten }));
  return total;
}

/**
 * The same on several nodes, if a row has no ctid of its own: a scope is on one shard, and goes at once. Two at once: the second
 * waits for the first, and finds none of its rows.
 */
async function forgetShard(
  parts: StoreParts,
  scope: string,
  { by, reason }: DecisionReason,
): Promise<ForgottenScope> {
  const records = `"${parts.schema}".records`;
  const outcome = await inOneRoundTrip(
    parts,
    [
      { text: `delete from ${records} where scope = $1::text and ${NOT_HELD}`, values: [scope] },
      { text: `select count(*) from ${records} where scope = $1::text`, values: [scope] },
      {
        text: `insert into "${parts.schema}".decisions (id, action, scope, decided_by, reason)
          values ($4::uuid, 'forgotten', $1::text, $2::text, $3::text)`,
        values: [scope, by, reason, randomUUID()],
      },
    ],
    "commit",
    ([gone, left]) => ({
      kind: "forgotten" as const,
      total: { forgotten: rowsOf(gone), held: Number(left?.rows[0]?.[0]) },
    }),
  );
  if (outcome.kind === "unavailable") throw outcome.cause;
  const { forgotten } = outcome.total;
  publish("oncekey:forgotten", () => ({ keyDigest: undefined, records: forgotten }));
  return outcome.total;
}

/** Which decisions are listed. */
export interface DecisionQuery {
  readonly scope?: string | undefined;
  readonly key?: string | undefined;
  readonly cursor?: string | undefined;
  /** The most decisions of a page. `@range 1–1_000 @default 100` */
  readonly limit?: number | undefined;
}

export interface DecisionPage {
  readonly decisions: Decision[];
  readonly cursor: string | undefined;
}

/** Reads a page of the audit, the newest first. Throws what the database throws. */
export async function listDecisions(
  pool: Pool,
  schema: string,
  { scope, key, cursor, limit = 100 }: DecisionQuery,
): Promise<DecisionPage> {
  const { rows } = await queryPlain<Decision & { readonly id: string }>(
    pool,
    `select id, action, key, scope, target, state, status, decided_by as by, reason, records,
       ${instant("decided_at")} as at
     from "${schema}".decisions
     where ($1::text is null or scope = $1::text) and ($2::text is null or key = $2::text)
       and ($3::timestamptz is null or (decided_at, id) < ($3::timestamptz, $4::uuid))
     order by decided_at desc, id desc limit $5::int`,
    [scope ?? null, key ?? null, ...(readCursor(cursor, 2) ?? [null, null]), limit],
  );
  const last = rows.at(-1);
  const next = last !== undefined && rows.length === limit ? [last.at, last.id] : undefined;
  const decisions = rows.map(
    ({ action, key: of, scope: owner, target, state, status, by, reason, records, at }) => ({
      action,
      key: of,
      scope: owner,
      target,
      state,
      status,
      by,
      reason,
      records,
      at,
    }),
  );
  return { decisions, cursor: next && writeCursor(next) };
}
