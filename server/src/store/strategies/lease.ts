/** The `lease` strategy: a committed claim with an owner and an end, renewed while the handler runs, which holds no connection. */
import { randomUUID } from "node:crypto";
import type { Row, Statement } from "../postgres/batch.ts";
import { createKeylessClaim } from "../claims/keyless-claim.ts";
import { createLeaseClaim, renewLease } from "../claims/lease-claim.ts";
import { wasGivenBack } from "../claims/lease-steps.ts";
import { openInFlight, openReplay, unreadableOwner } from "../record-codec.ts";
import { readInFlight, ticketValues } from "../record.ts";
import type { StoreParts } from "../store-parts.ts";
import type { BeginOutcome, Claim, InFlight, Retention, Store, Ticket } from "../store.ts";
import { gaveUpOn, isConnectionFailure } from "../postgres/transaction.ts";
import { inOneRoundTrip, recordIn } from "../round-trip.ts";

/** Another request did not finish: its fingerprint as it stands in the row. */
interface Anothers {
  readonly kind: "anothers";
  readonly fingerprint: Buffer;
}

type Unclaimed = Exclude<BeginOutcome, { readonly claim: Claim }> | Anothers;

/** One try to claim a ticket. */
interface LeaseTry {
  readonly ticket: Ticket;
  /** The fingerprint by which a row names the ticket. */
  readonly fingerprint: Buffer;
  readonly owner: string;
  readonly retention: Retention;
}

/** The row names this owner, as far as the answer knows. */
interface Won {
  readonly kind: "won";
  readonly attempt: number;
  readonly steps: string | null;
  readonly askedAt: number;
}

/** @param durationMs how long a claim lasts without being renewed, in milliseconds. */
export function createLeaseStore(parts: StoreParts, durationMs: number): Store {
  const { statements, codec } = parts;

  /** @param lost the owner whose answer was lost: it may have claimed the ticket already. */
  async function tryOnce(
    one: LeaseTry,
    lost: string | null,
    impatience: readonly Statement[] = [{ text: statements.impatient }],
  ): Promise<BeginOutcome | Anothers> {
    const { ticket, fingerprint, owner, retention } = one;
    const identity = ticketValues(ticket);
    const values = [
      ...identity,
      fingerprint,
      owner,
      String(durationMs),
      // An unfinished lease is kept for as long as its key: what it did is not known.
      String(retention.fenceMs),
      lost,
    ];
    const outcome = await inOneRoundTrip(
      parts,
      [
        ...impatience,
        ...statements.claimLease.map((text) => ({ text, values })),
        { text: statements.lookupLease, values: identity },
      ],
      "commit",
      ([, ...claims], askedAt): Unclaimed | Won => {
        const found = claims.at(statements.claimLease.length);
        const record = recordIn(found, askedAt);
        if (record !== undefined) return openReplay(record, ticket, codec);
        const row = claims.slice(0, -2).flatMap(({ rows }) => rows)[0];
        if (row === undefined) return readHeld(found?.rows[0], fingerprint);
        return { kind: "won", attempt: Number(row[0]), steps: row[1] ?? null, askedAt };
      },
    );
    return outcome.kind === "won" ? hold(one, outcome) : outcome;
  }

  async function tryAgain(one: LeaseTry): Promise<BeginOutcome | Anothers> {
    const outcome = await tryOnce(one, null);
    if (outcome.kind !== "unavailable") return outcome;
    const obstacle = gaveUpOn(outcome.cause);
    // Another is writing the row right now.
    if (obstacle === "row") return { kind: "in-flight" };
    if (obstacle === "table") return tryPatiently(one, null);
    // The claim may stand although its answer was lost. A second try with the same owner
    // recognises it as our own. Its transaction may not have ended yet.
    return isConnectionFailure(outcome.cause) ? tryPatiently(one, one.owner) : outcome;
  }

  async function tryPatiently(
    one: LeaseTry,
    lost: string | null,
  ): Promise<BeginOutcome | Anothers> {
    const outcome = await tryOnce(one, lost, statements.awaitTable);
    const isHeld = outcome.kind === "unavailable" && gaveUpOn(outcome.cause) !== undefined;
    return isHeld ? { kind: "in-flight" } : outcome;
  }

  /** Makes the claim of what was won, once it is sure that its lease still runs. */
  async function hold({ ticket, owner, retention }: LeaseTry, won: Won): Promise<BeginOutcome> {
    const { attempt, steps } = won;
    let { askedAt } = won;
    // The COMMIT waited for a standby, or this process was suspended: another owner may have taken
    // the lease over by now.
    if (performance.now() >= askedAt + durationMs) {
      askedAt = performance.now();
      const renewed = await renewLease(parts, ticket, owner, durationMs);
      if (renewed.kind === "unavailable") return renewed;
      if (renewed.rows === 0 || performance.now() >= askedAt + durationMs)
        return { kind: "in-flight" };
    }
    const claim = createLeaseClaim({
      parts,
      ticket,
      owner,
      durationMs,
      retention,
      attempt,
      askedAt,
      steps,
    });
    // An owner that gave its key back in order left steps, and no doubt.
    const isClear = attempt === 1 || wasGivenBack(steps, attempt);
    return { kind: isClear ? "claimed" : "crashed", claim };
  }

  return {
    async begin(ticket, retention) {
      let fingerprint = codec.fingerprint(ticket);
      for (;;) {
        const outcome = await tryAgain({ ticket, fingerprint, owner: randomUUID(), retention });
        if (outcome.kind !== "anothers") return openInFlight(outcome, ticket, codec);
        const compared = codec.compareUnfinished(outcome.fingerprint, ticket);
        if (compared === "other") return { kind: "conflict" };
        if (compared === "unreadable") return unreadableOwner();
        // The process that began the request has another encryption key first in its list.
        ({ fingerprint } = outcome);
      }
    },

    lookup: (ticket) => {
      const identity = ticketValues(ticket);
      return inOneRoundTrip(
        parts,
        [{ text: statements.lookupLease, values: identity }],
        "rollback",
        ([found], askedAt) => {
          const record = recordIn(found, askedAt);
          if (record !== undefined) return openReplay(record, ticket, codec);
          const row = found?.rows[0];
          if (row === undefined) return { kind: "absent" };
          if (row.at(-1) !== "t") return { kind: "unknown" };
          return openInFlight(readInFlight(row), ticket, codec);
        },
      );
    },

    open: async () => ({ kind: "claimed", claim: createKeylessClaim(parts) }),
  };
}

/** Reads an unfinished row of the `lookupLease` statement that could not be claimed. */
function readHeld(row: Row | undefined, fingerprint: Buffer): InFlight | Anothers {
  const held = readInFlight(row);
  const isOver = row?.at(-1) === "f";
  // Only the request that was begun can go on: a different request would wait for nothing. A late owner
  // may renew its lease after this, and the key still belongs to the other request.
  if (!isOver || held.fingerprint === undefined || held.fingerprint.equals(fingerprint))
    return held;
  return { kind: "anothers", fingerprint: held.fingerprint };
}
