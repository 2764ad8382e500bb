/** The planted bugs of crash recovery, of the audit, and of the two retentions. */
import type { Mutant } from "./mutant.ts";

const STORE = "server/src/store";
const STATEMENTS = `${STORE}/sql/statements.ts`;

export const RECOVERY_MUTANTS: readonly Mutant[] = [
  {
    name: "recovery-decides-again",
    what: "crash recovery gives a second answer for the keys that it has closed",
    hunt: "abandoned",
    edits: [
      {
        file: `${STORE}/maintenance/take-crashed.ts`,
        find: "where ${OPEN} and ${CRASHED}",
        replace: "where (${CRASHED} or status >= 500)",
      },
      {
        file: `${STORE}/maintenance/take-crashed.ts`,
        find: "where ${THIS} and owner = $5::uuid and ${CRASHED}`",
        replace: "where ${THIS} and owner = $5::uuid`",
      },
    ],
  },
  {
    name: "recovery-frees",
    what: "crash recovery gives a key back as if nothing had happened, so that the next sender runs it",
    hunt: "abandoned",
    edits: [
      {
        file: "server/src/request/resolve-crash.ts",
        find: 'await claim.release("failed");\n    return { kind: "left" };',
        replace: 'await claim.release("free");\n    return { kind: "left" };',
      },
    ],
  },
  {
    name: "recovery-unaudited",
    what: "crash recovery stores an answer without a row of the audit",
    hunt: "abandoned",
    edits: [
      {
        file: `${STORE}/claims/lease-claim.ts`,
        find: "if (decision === undefined) return [];",
        replace: "if (decision === undefined || owner !== undefined) return [];",
      },
    ],
  },
  {
    name: "resolve-unaudited",
    what: "an operator's resolve() stores its answer without a row of the audit",
    hunt: "abandoned",
    edits: [
      {
        file: `${STORE}/maintenance/decisions.ts`,
        find: "from ${records} where ${THIS} and owner = $4::uuid and status is not null`",
        replace: "from ${records} where ${THIS} and owner = $4::uuid and status is null`",
      },
    ],
  },
  {
    name: "crash-unannounced",
    what: "a crashed lease decided without an event",
    hunt: "abandoned",
    edits: [
      {
        file: "server/src/recover.ts",
        find: 'publish("oncekey:crashed", () => ({ keyDigest: digestKey(key), foundBy: "recover", attempts }));',
        replace: "",
      },
    ],
  },
  {
    name: "sweep-crashed",
    what: "the sweep deletes a crashed row among all others",
    hunt: "abandoned",
    edits: [
      {
        file: `${STORE}/sql/sweep-statements.ts`,
        find: "const sweepable = `${over} and not ${crashed}`;",
        replace: "const sweepable = over;",
      },
      {
        file: `${STORE}/maintenance/sweep-batch.ts`,
        find: "const ended = from === undefined ? await endCrashes(parts, announce) : 0;",
        replace: "const ended = from === undefined ? 0 : await endCrashes(parts, announce);",
      },
    ],
  },
  {
    name: "tombstone-runs",
    what: "a tombstone runs again",
    hunt: "expiry",
    edits: [
      {
        file: STATEMENTS,
        find: 'const endsAt = "greatest(expires_at, fence_until)";',
        replace: 'const endsAt = "expires_at";',
      },
      {
        file: STATEMENTS,
        find: "when greatest(record.expires_at, record.fence_until) <= excluded.created_at",
        replace: "when record.expires_at <= excluded.created_at",
      },
    ],
  },
  {
    name: "cache-outlives",
    what: "the replay cache keeps a response for longer than its retention",
    hunt: "expiry",
    edits: [
      {
        file: "server/src/layers/replay-cache.ts",
        find: "if (remainingMs(record) > 0 && ageMs < MAX_AGE_MS) return record;",
        replace: "if (ageMs < MAX_AGE_MS) return record;",
      },
    ],
  },
];
