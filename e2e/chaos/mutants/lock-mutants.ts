/** The planted bugs of the lock, which alone would show little: without the primary key's fence behind it. */
import type { Edit, Mutant } from "./mutant.ts";

const STORE = "server/src/store";

const NO_FENCE: Edit = {
  file: `${STORE}/sql/statements.ts`,
  find: "when greatest(record.expires_at, record.fence_until) <= excluded.created_at\n            then excluded.fingerprint",
  replace: "when true then excluded.fingerprint",
};

// The look-up after the lock would still find the record, so the mutant has to trust the one
// statement.
const BELIEVE_LOCK: Edit = {
  file: `${STORE}/strategies/try-claim.ts`,
  find: "const record = recordIn(results.at(-1), askedAt);",
  replace: "const record = isOurs(results) ? undefined : recordIn(results.at(-1), askedAt);",
};

const TRY_LOCK = "else pg_try_advisory_xact_lock($4::bigint)";

export const LOCK_MUTANTS: readonly Mutant[] = [
  {
    name: "one-statement",
    what: "lock and look-up in one statement, without the primary key's fence",
    hunt: "race",
    edits: [
      NO_FENCE,
      BELIEVE_LOCK,
      {
        file: `${STORE}/sql/statements.ts`,
        find: TRY_LOCK,
        replace: "else (select count(*) from pg_advisory_xact_lock($4::bigint)) = 1",
      },
    ],
  },
  {
    name: "stable-function",
    what: "lock and look-up in a STABLE function, without the fence",
    hunt: "race",
    edits: [
      NO_FENCE,
      BELIEVE_LOCK,
      {
        file: `${STORE}/sql/statements.ts`,
        find: TRY_LOCK,
        replace: `else "\${schema}".unseen($1, $2, $3, $4::bigint)`,
      },
      {
        file: "server/src/store/sql/migrations/0001_records.sql",
        find: "create index records_expires_at",
        replace: `create function {{schema}}.unseen(k text, s text, t text, id bigint) returns boolean language plpgsql stable as
          'begin perform pg_advisory_xact_lock(id); return not exists
          (select from {{schema}}.records where key = k and scope = s and target = t and status is not null); end';
          create index records_expires_at`,
      },
    ],
  },
  {
    name: "early-unlock",
    what: "lock released before COMMIT, without the fence",
    hunt: "race",
    edits: [
      NO_FENCE,
      {
        file: `${STORE}/sql/statements.ts`,
        find: TRY_LOCK,
        replace: "else pg_try_advisory_lock($4::bigint) and pg_advisory_unlock($4::bigint)",
      },
    ],
  },
];
