/** The planted bugs of the kinds that a test overlooks: a forgotten clean-up, a wrong bound, a dropped check, a rare condition. */
import type { Mutant } from "./mutant.ts";

const POSTGRES = "server/src/store/postgres";
const FLIGHT = "server/src/layers/single-flight.ts";

export const RESOURCE_MUTANTS: readonly Mutant[] = [
  {
    name: "late-waiter-slot",
    what: "the slot that a waiter gets after its time is up is lost for good",
    hunt: "crowd",
    edits: [
      {
        file: `${POSTGRES}/slots.ts`,
        find: "queue.splice(queue.indexOf(turn), 1);\n",
        replace: "",
      },
    ],
  },
  {
    name: "late-waiter-share",
    what: "the share of its scope that a waiter gets after its time is up is lost for good",
    hunt: "shares",
    edits: [
      {
        file: "server/src/layers/fair-shares.ts",
        find: "queue.splice(queue.indexOf(turn), 1);\n",
        replace: "",
      },
    ],
  },
  {
    name: "leader-in-flight",
    what: "a leader whose store did not answer leaves its key in flight until a restart",
    hunt: "lone",
    edits: [
      {
        file: FLIGHT,
        find: 'if (outcome.kind !== "in-flight" && outcome.kind !== "conflict") result = outcome;\n',
        replace:
          'if (outcome.kind === "unavailable") return outcome;\n      if (outcome.kind !== "in-flight" && outcome.kind !== "conflict") result = outcome;\n',
      },
    ],
  },
  {
    name: "ended-flight-stays",
    what: "a flight that has ended keeps its place",
    hunt: "few",
    edits: [
      {
        file: FLIGHT,
        find: "      flights.delete(id);\n      if (result",
        replace: "      if (result",
      },
    ],
  },
  {
    name: "late-beat",
    what: "the answer of a beat that was under way at the stop starts the timer again",
    hunt: "beats",
    edits: [
      {
        file: "server/src/store/claims/heartbeat.ts",
        find: "    if (isStopped) return;\n",
        replace: "",
      },
    ],
  },
  {
    name: "listener-left",
    what: "a listener stays on each connection that is given back",
    hunt: "race",
    edits: [
      {
        file: `${POSTGRES}/connection.ts`,
        find: '  client.removeListener("error", ignoreError);\n',
        replace: "",
      },
    ],
  },
  {
    name: "lock-timeout-keeps",
    what: "a claim that gave up waiting for a lock keeps its connection",
    hunt: "race",
    edits: [
      {
        file: "server/src/store/strategies/try-claim.ts",
        find: "    if (obstacle === undefined) throw error;\n    await abandon(connection);",
        replace: "    if (obstacle === undefined) throw error;",
      },
    ],
  },
  {
    name: "failed-store-commits",
    what: "a batch whose store has failed is committed all the same",
    hunt: "refusals",
    edits: [
      {
        file: `${POSTGRES}/transaction.ts`,
        find: "  } catch (cause) {\n    return { kind: isCleanFailure(cause)",
        replace:
          '  } catch (cause) {\n    if (isCleanFailure(cause)) {\n      await ask(line, [{ text: "commit" }]);\n      return { kind: "committed" };\n    }\n    return { kind: isCleanFailure(cause)',
      },
    ],
  },
  {
    name: "stale-names",
    what: "the prepared statements of an earlier connection are taken for those of a new one, as after a restart",
    hunt: "race",
    edits: [
      {
        file: `${POSTGRES}/session.ts`,
        find: "const session = new Session(traitsOf(pool));",
        replace:
          "const session = EARLIER.get(pool) ?? new Session(traitsOf(pool));\n  EARLIER.set(pool, session);",
      },
      {
        file: `${POSTGRES}/session.ts`,
        find: "const SESSIONS = new WeakMap<PoolClient, Session>();",
        replace:
          "const SESSIONS = new WeakMap<PoolClient, Session>();\nconst EARLIER = new WeakMap<Pool, Session>();",
      },
      {
        file: `${POSTGRES}/transaction.ts`,
        find: "if (!isStale(error)) throw error;",
        replace: "if (!isStale(error) || line !== undefined) throw error;",
      },
    ],
  },
  {
    name: "lost-is-refused",
    what: "the client takes an attempt without an answer for a refusal",
    hunt: "commit",
    edits: [
      {
        file: "client/src/retry/retry-loop.ts",
        find: '    return { kind: "retry", cause: error };',
        replace:
          '    return loop.isSent\n      ? { kind: "rejected", error }\n      : { kind: "retry", cause: error };',
      },
    ],
  },
  {
    name: "running-is-refused",
    what: "the client drops its key when the server reports that the first request still runs",
    hunt: "slowLeases",
    edits: [
      {
        file: "client/src/retry/classify.ts",
        find: 'if (!mayRetry) return { kind: "unknown", error };',
        replace: 'if (code === "idempotency_in_flight") return { kind: "rejected", error };',
      },
    ],
  },
];
