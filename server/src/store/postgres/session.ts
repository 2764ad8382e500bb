/** The state of a connection of the application's pool for as long as it is open: its prepared statements, its last error. */
import type { Pool, PoolClient } from "pg";
import { StatementNames } from "./encode.ts";
import type { PoolTraits } from "./encode.ts";

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
  readonly names: StatementNames;

  constructor(traits: PoolTraits) {
    this.names = new StatementNames(traits);
  }

  noteError(error: ServerMessage): void {
    if (error.code !== FAILED_ALREADY) this.lastError = error;
  }

  noteNotice({ code, routine }: ServerMessage): void {
    if ((code === "01000" || code === "57P01") && SAY_LOCAL.has(routine ?? ""))
      this.isLocalCommit = true;
  }
}
