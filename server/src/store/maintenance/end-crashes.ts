/** Deletes undecided crashed leases at the end of their fence: each is announced before, and audited. */
import { publish } from "../../telemetry/events.ts";
import { digestKey } from "../../telemetry/key-digest.ts";
import type { Row } from "../postgres/batch.ts";
import { purposeLockId } from "../lock-id.ts";
import { ask, askToBegin } from "../postgres/transaction.ts";
import { withConnection } from "../round-trip.ts";
import type { StoreParts } from "../store-parts.ts";
import { CRASHED, OPEN } from "./record-state.ts";
import { instant } from "./table-record.ts";

/** A crashed lease at the end of its fence. */
export interface UndecidedCrash {
  readonly key: string;
  readonly scope: string;
  readonly target: string;
  /** Number of times the handler has been started. */
  readonly attempts: number;
}

/** Called for each record before it is deleted. */
export type AnnounceCrash = (crash: UndecidedCrash) => void;

const MAX_CRASHES = 100;
const AUDITED = "id, action, key, scope, target, state, decided_by, reason";

/**
 * Deletes a batch and returns its size. Two sweeps at once: the second does not get the lock, and announces nothing. A retry that
 * takes a lease over at the same moment: one of the two locks the row, and the other passes over it. Throws what the database
 * throws.
 */
export async function endCrashes(parts: StoreParts, announce?: AnnounceCrash): Promise<number> {
  const { schema, statements, connect, dialect } = parts;
  const records = `"${schema}".records`;
  // On several nodes a row can only be locked by its scope: there, the deletion looks at the row again.
  const lockRow = dialect.kind === "postgres" ? "for update skip locked" : "";
  const find = {
    text: `select key, scope, target, ${instant("created_at")}, attempt from ${records}
      where ${OPEN} and ${CRASHED} and expires_at <= statement_timestamp()
      order by created_at limit $1::int ${lockRow}`,
    values: [String(MAX_CRASHES)],
  };
  const outcome = await withConnection(connect, async (connection) => {
    const lock = { text: statements.gate, values: [purposeLockId(schema, "sweep")] };
    const begun = await askToBegin(connection, [...statements.open, lock]);
    const isAlone = begun.at(statements.open.length)?.rows[0]?.[0] === "t";
    // Not in the batch of the lock: a process without it would lock rows, and the one that has it would pass over them.
    const [found] = isAlone ? await ask(connection, [find]) : [];
    const crashes = found?.rows ?? [];
    for (const crash of crashes) announceOne(crash, announce);
    const results = await ask(connection, [
      ...crashes.flatMap((crash) => deletion(schema, crash)),
      { text: crashes.length === 0 ? "rollback" : "commit" },
    ]);
    connection.release();
    return { kind: "ended" as const, rows: results.filter(({ tag }) => tag === "DELETE 1").length };
  });
  if (outcome.kind === "unavailable") throw outcome.cause;
  return outcome.rows;
}

function announceOne([key, scope, target, , attempt]: Row, announce?: AnnounceCrash): void {
  const crash = {
    key: key ?? "",
    scope: scope ?? "",
    target: target ?? "",
    attempts: Number(attempt),
  };
  const { attempts } = crash;
  publish("oncekey:crashed", () => ({
    keyDigest: digestKey(crash.key),
    foundBy: "sweep",
    attempts,
  }));
  announce?.(crash);
}

/** The row of the audit, and the deletion, of a record as it was found. */
function deletion(schema: string, [key, scope, target, createdAt]: Row) {
  const thisOne = `key = $1::text and scope = $2::text and target = $3::text
    and created_at = $4::timestamptz and ${CRASHED}`;
  const values = [key ?? "", scope ?? "", target ?? "", createdAt ?? ""];
  return [
    {
      text: `insert into "${schema}".decisions (${AUDITED})
        select gen_random_uuid(), 'expired', key, scope, target, 'crashed', 'the sweep',
          'its fence ended, and no decision was made'
        from "${schema}".records where ${thisOne}`,
      values,
    },
    { text: `delete from "${schema}".records where ${thisOne}`, values },
  ];
}
