/** The state of a connection of the application's pool for as long as it is open: its prepared statements, its last error. */
import type { Pool, PoolClient } from "pg";
import type { Encodable } from "./encode.ts";

/** Whether the sessions behind a pool keep named statements. */
interface PoolTraits {
  keepsNames: boolean;
}

const POOLS = new WeakMap<Pool, PoolTraits>();
const SESSIONS = new WeakMap<PoolClient, Session>();

function traitsOf(pool: Pool): PoolTraits {
  const traits = POOLS.get(pool) ?? { keepsNames: false };
  POOLS.set(pool, traits);
  return traits;
}

/** Notes the result of the self-test. Until then, and for all other pools, statements are unnamed. */
export function allowNames(pool: Pool): void {
  traitsOf(pool).keepsNames = true;
}

/** Returns the session of a client of the pool. */
export function openSession(client: PoolClient, pool: Pool): Session {
  const known = SESSIONS.get(client);
  if (known !== undefined) return known;
  const session = new Session(traitsOf(pool));
  SESSIONS.set(client, session);
  // Once for as long as the connection is open, and not for each request.
  const wire = Reflect.get(client, "connection") as Wire | undefined;
  wire?.on("errorMessage", (error) => session.noteError(error));
  wire?.on("notice", (notice) => session.noteNotice(notice));
  return session;
}

/** Returns the session of a client that was taken out by {@link openSession}, if it was. */
export function sessionOf(client: PoolClient): Session | undefined {
  return SESSIONS.get(client);
}

// A plan that was made for a small table reads it whole, and stays as the table grows: Postgres drops it when the table is
// analyzed, up to a minute later. Made again this often it costs less than 1 % of the statements that it saves.
const MAX_PLAN_AGE_MS = 5_000;

/** The protocol connection of a pg client; pg's published types leave most of it out. */
interface Wire {
  on(event: "errorMessage" | "notice", listener: (message: ServerMessage) => void): void;
}

interface ServerMessage {
  readonly code?: string | undefined;
  readonly routine?: string | undefined;
}

// 25P02: "current transaction is aborted, commands ignored until end of transaction block".
const FAILED_ALREADY = "25P02";

// "canceling wait for synchronous replication", which syncrep.c sends with the codes of any other warning, such as one of a deferred
// trigger. Citus passes a node's warning on under a routine of its own.
const SAY_LOCAL: ReadonlySet<string> = new Set(["SyncRepWaitForLSN", "DefaultCitusNoticeReceiver"]);

export class Session {
  /** The last error that Postgres sent since the connection was taken, other than that the transaction has failed already. */
  lastError: unknown;
  /** Whether Postgres reported, since this was last reset, that it committed without the standby. */
  isLocalCommit = false;
  readonly #traits: PoolTraits;
  readonly #prepared = new Set<string>();
  /** When the names were last forgotten. Before the first batch with names: never, in a process of any age. */
  #preparedAt = -Infinity;

  constructor(traits: PoolTraits) {
    this.#traits = traits;
  }

  noteError(error: ServerMessage): void {
    if (error.code !== FAILED_ALREADY) this.lastError = error;
  }

  noteNotice({ code, routine }: ServerMessage): void {
    if ((code === "01000" || code === "57P01") && SAY_LOCAL.has(routine ?? ""))
      this.isLocalCommit = true;
  }

  /** Returns the texts that the session has a name for, or `undefined` if it keeps no names. Called before a batch is encoded. */
  preparedTexts(): ReadonlySet<string> | undefined {
    if (!this.#traits.keepsNames) return undefined;
    const now = performance.now();
    if (now - this.#preparedAt >= MAX_PLAN_AGE_MS) {
      this.#prepared.clear();
      this.#preparedAt = now;
    }
    return this.#prepared;
  }

  /** Notes that the statements of a batch were done, so that their names are there. */
  noteDone(statements: readonly Encodable[]): void {
    if (!this.#traits.keepsNames || this.#preparedAt === -Infinity) return;
    for (const { text, isPlannedAnew } of statements)
      if (isPlannedAnew === undefined) this.#prepared.add(text);
  }

  /** Forgets all names: which of a failed batch are there is not known. The next use prepares each again. */
  forgetNames(): void {
    this.#prepared.clear();
  }

  /** Gives named statements up for the whole pool: one was lost inside a transaction, which cost a request its writes. */
  giveUpNames(): void {
    this.#traits.keepsNames = false;
    this.#prepared.clear();
  }
}
