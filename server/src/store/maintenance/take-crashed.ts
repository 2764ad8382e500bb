/** Finds crashed leases and takes them over for crash recovery, in one process at a time. */
import { randomUUID } from "node:crypto";
import { createLeaseClaim } from "../claims/lease-claim.ts";
import { purposeLockId } from "../lock-id.ts";
import { ask, askToBegin } from "../postgres/transaction.ts";
import { withConnection } from "../round-trip.ts";
import type { StoreParts } from "../store-parts.ts";
import type { RecordCodec } from "../record-codec.ts";
import type { Claim, Retention, Ticket } from "../store.ts";
import { CRASHED, OPEN } from "./record-state.ts";

/** A crashed lease, before anything is done about it. */
export interface Crashed {
  readonly key: string;
  readonly scope: string;
  readonly target: string;
  /** Number of times the handler has been started. */
  readonly attempts: number;
  /** Number of times that crash recovery has asked without a decision. */
  readonly recoveries: number;
}

/** A crashed lease that this process may finish. */
export interface Taken {
  /** Its fingerprint is the row's own: the request is not known. */
  readonly ticket: Ticket;
  readonly recoveries: number;
  readonly claim: Claim;
}

/** Options of a route for its leases. */
export interface LeaseRules extends Retention {
  /** Duration of a claim that is not renewed, in ms. */
  readonly leaseDurationMs: number;
  readonly codec: RecordCodec;
}

export interface TakeOptions {
  /** Delay after the end of the lease, in ms: a retry of the caller goes first. */
  readonly afterMs: number;
  /** Wait before the second question about a record, in ms; each further one takes twice as long, an hour at most. */
  readonly pauseMs: number;
  /** Patterns of the targets that this process can decide about. */
  readonly patterns: readonly string[];
  readonly limit: number;
  /** Returns how the route of a target keeps its records. */
  readonly rulesOf: (target: string) => LeaseRules;
  /** Called for each record before it is taken over. */
  readonly announce: (crashed: Crashed) => void;
}

const THIS = "key = $1::text and scope = $2::text and target = $3::text";

/**
 * Takes crashed leases over, the oldest first. Takes none while another process asks about the ones that it has taken: their
 * leases run, and are marked by `recover_at`. Throws what the database throws.
 */
export async function takeCrashed(parts: StoreParts, options: TakeOptions): Promise<Taken[]> {
  const { schema, statements, connect, dialect } = parts;
  const records = `"${schema}".records`;
  // A retry that meets the announced row finds it locked. On several nodes the update below decides alone.
  const lockRow = dialect.kind === "postgres" ? "for update of record skip locked" : "";
  const find = {
    text: `select key, scope, target, encode(fingerprint, 'hex'), attempt, steps, coalesce(recoveries, 0), owner
      from ${records} as record
      where ${OPEN} and ${CRASHED}
        and greatest(lease_until, created_at) <= statement_timestamp() - $1::float8 * interval '1 millisecond'
        and (recover_at is null or recover_at <= statement_timestamp())
        and target ~ any (array(select jsonb_array_elements_text($2::jsonb)))
        and not exists (
          select from ${records} where status is null and owner is not null
            and lease_until > statement_timestamp() and recover_at is not null)
      order by created_at limit $3::int ${lockRow}`,
    values: [String(options.afterMs), JSON.stringify(options.patterns), String(options.limit)],
  };
  const outcome = await withConnection(connect, async (connection) => {
    const lock = { text: statements.gate, values: [purposeLockId(schema, "recover")] };
    const begun = await askToBegin(connection, [...statements.open, lock]);
    const isAlone = begun.at(statements.open.length)?.rows[0]?.[0] === "t";
    // Not in the batch of the lock: a process without it would lock rows, and the one that has it would pass over them.
    const [found] = isAlone ? await ask(connection, [find]) : [];
    const rows = found?.rows ?? [];
    if (rows.length === 0) {
      await ask(connection, [{ text: "rollback" }]);
      connection.release();
      return { kind: "taken" as const, taken: [] };
    }
    const askedAt = performance.now();
    const candidates = rows.map((row) => {
      const [key = "", scope = "", target = "", fingerprint, attempt, steps, recoveries, owner] =
        row.map((field) => field ?? undefined);
      options.announce({
        key,
        scope,
        target,
        attempts: Number(attempt),
        recoveries: Number(recoveries),
      });
      const ticket = { key, scope, target, fingerprint: Buffer.from(fingerprint ?? "", "hex") };
      return {
        ticket,
        attempt: Number(attempt),
        steps: steps ?? null,
        recoveries: Number(recoveries),
        before: owner ?? null,
        owner: randomUUID(),
      };
    });
    // The number of attempts and the instants stay: no handler is started. Two at once, or a retry of the caller: the second
    // finds another owner, or a lease that runs, and changes nothing.
    const results = await ask(connection, [
      ...candidates.map(({ ticket: { key, scope, target }, owner, before }) => ({
        text: `update ${records} set owner = $4::uuid,
            lease_until = statement_timestamp() + $6::bigint * interval '1 millisecond',
            recoveries = coalesce(recoveries, 0) + 1,
            recover_at = statement_timestamp()
              + least(3600000, $7::bigint * 2 ^ least(coalesce(recoveries, 0), 12)) * interval '1 millisecond'
          where ${THIS} and owner = $5::uuid and ${CRASHED}`,
        values: [
          key,
          scope,
          target,
          owner,
          before,
          String(options.rulesOf(target).leaseDurationMs),
          String(options.pauseMs),
        ],
      })),
      { text: "commit" },
    ]);
    connection.release();
    const taken = candidates.filter((_, index) => results[index]?.tag === "UPDATE 1");
    return {
      kind: "taken" as const,
      taken: taken.map(({ ticket, attempt, steps, recoveries, owner }) => {
        const rules = options.rulesOf(ticket.target);
        const claim = createLeaseClaim({
          parts: { ...parts, codec: rules.codec },
          ticket,
          owner,
          durationMs: rules.leaseDurationMs,
          retention: rules,
          attempt,
          askedAt,
          steps,
          decision: { id: randomUUID(), by: "crash recovery", reason: "onCrash" },
        });
        return { ticket, recoveries, claim };
      }),
    };
  });
  if (outcome.kind === "unavailable") throw outcome.cause;
  return outcome.taken;
}
