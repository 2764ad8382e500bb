/**
 * The planted bugs. Each changes a line of the product. If the primary key would still keep the
 * promise, the mutant disables that too.
 */
import { LOCK_MUTANTS } from "./lock-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { DAY_MUTANTS } from "./day-mutants.ts";
import { RECOVERY_MUTANTS } from "./recovery-mutants.ts";
import { RESOURCE_MUTANTS } from "./resource-mutants.ts";

const STORE = "server/src/store";

export const MUTANTS: readonly Mutant[] = [
  ...LOCK_MUTANTS,
  ...DAY_MUTANTS,
  ...RECOVERY_MUTANTS,
  ...RESOURCE_MUTANTS,
  {
    name: "repeatable-read",
    what: "REPEATABLE READ without trying again",
    hunt: "race",
    edits: [
      {
        file: `${STORE}/sql/statements.ts`,
        find: "begin isolation level read committed read write",
        replace: "begin isolation level repeatable read read write",
      },
    ],
  },
  {
    name: "scope-ignored",
    what: "scope ignored",
    hunt: "strangers",
    edits: [
      {
        file: "server/src/request/read-ticket.ts",
        find: "    scope,\n    target,\n    fingerprint: arrival",
        replace: '    scope: "all",\n    target,\n    fingerprint: arrival',
      },
    ],
  },
  {
    name: "flight-scope",
    what: "single flight and replay cache of all scopes together",
    hunt: "strangers",
    edits: [
      {
        file: "server/src/ticket/ticket-id.ts",
        find: "`${scope}${END}${target}${END}${key}`",
        replace: "`${scope.length}${END}${target}${END}${key}`",
      },
    ],
  },
  {
    name: "row-misnamed",
    what: "a row that a failure left behind keeps the name of the request that failed",
    hunt: "leftRows",
    edits: [
      {
        file: `${STORE}/sql/statements.ts`,
        find: "and ${pending} and fingerprint = $4::bytea",
        replace: "and ${pending} and $4::bytea is not null",
      },
    ],
  },
  {
    name: "owner-ignored",
    what: "owner of a lease ignored as it stores",
    hunt: "zombie",
    edits: [
      {
        file: `${STORE}/sql/lease-statements.ts`,
        find: "and owner = $4::uuid and status is null`",
        replace: "and $4::uuid is not null and status is null`",
      },
    ],
  },
  {
    name: "tag-ignored",
    what: "COMMIT's command tag ignored",
    hunt: "keyless",
    edits: [
      {
        file: `${STORE}/postgres/transaction.ts`,
        find: 'if (tag === "COMMIT")',
        replace: "if (tag !== undefined)",
      },
    ],
  },
  {
    name: "unknown-is-done",
    what: "a COMMIT without an answer taken for done",
    hunt: "commit",
    edits: [
      {
        file: `${STORE}/postgres/transaction.ts`,
        find: '? "rolled-back" : "unknown", cause }',
        replace: '? "rolled-back" : "committed", cause }',
      },
    ],
  },
  {
    name: "early-reply",
    what: "reply before COMMIT",
    hunt: "commit",
    edits: [
      {
        file: "server/src/response/on-send.ts",
        find: "const completion = await claim.complete(",
        replace:
          'const completion: Completion = { kind: "stored", lifetimeMs: 1, fenceMs: 1, askedAt: 0, split: false };\n  void claim.complete(',
      },
    ],
  },
  {
    name: "stored-on-response",
    what: "record written when the reply has been sent",
    hunt: "commit",
    edits: [
      {
        file: "server/src/response/on-send.ts",
        find: 'const completion = await claim.complete(captured.response, isKept ? "keep" : "discard");',
        replace:
          'const completion: Completion = { kind: "stored", lifetimeMs: 1, fenceMs: 1, askedAt: 0, split: false };\n  const { response } = captured;\n  reply.raw.once("finish", () => void claim.complete(response, isKept ? "keep" : "discard"));',
      },
    ],
  },
  {
    name: "sweep-live",
    what: "sweep of rows that still live",
    hunt: "race",
    edits: [
      {
        file: `${STORE}/sql/sweep-statements.ts`,
        find: '"expires_at <= statement_timestamp() and (lease_until is null',
        replace: `"expires_at <= statement_timestamp() + interval '2 days' and (lease_until is null`,
      },
    ],
  },
  {
    name: "refusal-captured",
    what: "a refusal (429) stored as if it were final",
    hunt: "refusals",
    edits: [
      {
        file: "server/src/options/stored-status.ts",
        find: "new Set([401, 403, 408, 409, 423, 424, 425, 429])",
        replace: "new Set([401, 403, 408, 409, 423, 424, 425])",
      },
    ],
  },
  {
    name: "failure-final",
    what: "a 5xx of a lease's handler stored as if it were final",
    hunt: "refusals",
    edits: [
      {
        file: "server/src/options/stored-status.ts",
        find: "if (status < 200 || status >= 500) return false;",
        replace: "if (status < 200) return false;",
      },
    ],
  },
  {
    name: "forget-forgets-not",
    what: "replay cache not cleared by forget",
    hunt: "race",
    edits: [
      {
        file: "server/src/admin-api.ts",
        find: "if (target !== undefined) engines.forget(",
        replace: "if (target === undefined) engines.forget(",
      },
    ],
  },
  {
    name: "body-only",
    what: "fingerprint of the parsed body only",
    hunt: "mismatch",
    edits: [
      {
        file: "server/src/ticket/fingerprint.ts",
        find: "digest([mediaType, sortedQuery(request), request.body]",
        replace: "digest([request.body]",
      },
    ],
  },
  {
    name: "slot-kept",
    what: "the slot of a connection that was closed under a hanging handler not given back",
    hunt: "hangUps",
    edits: [
      {
        file: `${STORE}/postgres/connection.ts`,
        find: "    this.#slots.free();\n",
        replace: "    if (destroy === undefined) this.#slots.free();\n",
      },
    ],
  },
  {
    name: "steps-forgotten",
    what: "finished steps deleted by a reply that is not final",
    hunt: "steps",
    edits: [
      {
        file: `${STORE}/claims/lease-claim.ts`,
        find: "if (steps.kept.isEmpty()) return",
        replace: "if (isInOrder) return",
      },
    ],
  },
  {
    name: "target-as-sent",
    what: "target named by the path as it was spelled",
    hunt: "race",
    edits: [
      {
        file: "server/src/ticket/target.ts",
        find: "fillIn(pieces, request.params) ?? pathOf(request.url)",
        replace: "pathOf(request.url)",
      },
    ],
  },
  {
    name: "late-fingerprint",
    what: "fingerprint taken after hooks have changed the body",
    hunt: "race",
    edits: [
      {
        file: "server/src/request/arrival.ts",
        find: "arrival.fingerprint = fingerprintWhole(request);",
        replace: "void fingerprintWhole(request);",
      },
    ],
  },
  {
    name: "rollback-ignored",
    what: "rollback() of a handler that answers 200 for a failure ignored",
    hunt: "masks",
    edits: [
      {
        file: "server/src/response/on-send.ts",
        find: "const isKept = !threw && state.rollback === undefined;",
        replace: "const isKept = !threw;",
      },
    ],
  },
  {
    name: "endless-heartbeat",
    what: "heartbeat that outlives its claim",
    hunt: "lease",
    edits: [
      {
        file: `${STORE}/claims/heartbeat.ts`,
        find: "      isStopped = true;\n      clearTimeout(timer);",
        replace: "",
      },
    ],
  },
  {
    name: "unheard-error",
    what: "no listener takes the errors of a connection that is in use",
    hunt: "terminate",
    edits: [
      {
        file: `${STORE}/postgres/connection.ts`,
        find: '      client.on("error", ignoreError);\n',
        replace: "",
      },
    ],
  },
  {
    name: "key-per-attempt",
    what: "client mints a key for each attempt",
    hunt: "commit",
    edits: [
      {
        file: "client/src/retry/retry-loop.ts",
        find: "await loop.send(request, key, {",
        replace: "await loop.send(request, crypto.randomUUID(), {",
      },
    ],
  },
];
