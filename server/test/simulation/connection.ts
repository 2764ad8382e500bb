/** A session of the model behind a line that may break: what a pool lends out, with the part of `pg`'s client that the store uses. */
import { EventEmitter } from "node:events";
import type { Pool, PoolClient } from "pg";
import { lookByHand } from "./by-hand.ts";
import type { VirtualTime } from "./virtual-time.ts";
import { begin, Blocked, commit, rollBack } from "./database.ts";
import type { Database, Transaction } from "./database.ts";
import { databaseError, beginStatement, STATEMENTS } from "./statements.ts";
import type { Result, Value } from "./meaning.ts";

/** Fault of one round trip to the database. */
export type FlightFault = "none" | "request lost" | "answer lost";

export interface Line {
  readonly database: Database;
  readonly time: VirtualTime;
  /** Resolves when it is this step's turn. */
  readonly step: (label: string) => Promise<void>;
  readonly nextFault: () => FlightFault;
  /** Whether the process at this end of the line has died. */
  readonly isDead: () => boolean;
}

export interface ModelPool {
  readonly pool: Pool;
  /** Ends every session, as a process that dies does: what runs there runs to its end, and is then rolled back. */
  readonly cut: () => void;
  /** Number of clients in use. */
  readonly outCount: () => number;
}

interface Statement {
  readonly text: string;
  readonly values: readonly Value[];
}

/** The handlers' statement: an effect of a record, by a run. */
export const INSERT_EFFECT = "insert into effects (record, run) values ($1, $2)";

const IMPATIENT: ReadonlySet<string> = new Set([
  STATEMENTS.impatient,
  ...STATEMENTS.impatientWithoutFlush.map(({ text }) => text),
]);

const NEVER = new Promise<never>(() => {});

export function createPool(line: Line): ModelPool {
  const sessions = new Set<Session>();
  let outCount = 0;
  const connect = (lend: (error: undefined, client: PoolClient) => void): void => {
    if (line.isDead()) return;
    const session = createSession(line);
    sessions.add(session);
    outCount += 1;
    const release = (): void => {
      outCount -= 1;
      sessions.delete(session);
      session.cut();
    };
    lend(undefined, asClient(session, release));
  };
  const query = async ({ values }: Statement): Promise<object> => {
    if (line.isDead()) return NEVER;
    const isLost = line.nextFault() !== "none";
    await line.step("somebody looks at a record");
    const rows = lookByHand(line.database, values);
    await line.step("its row arrives");
    if (line.isDead()) return NEVER;
    if (isLost) throw new Error("Connection terminated unexpectedly");
    return { rows };
  };
  const options = { max: 10, connectionTimeoutMillis: 5_000 };
  return {
    pool: { options, connect, query } as unknown as Pool,
    cut: () => {
      for (const session of sessions) session.cut();
    },
    outCount: () => outCount,
  };
}

interface Session {
  readonly events: EventEmitter;
  readonly status: () => "I" | "T" | "E";
  /** All of a batch or, after an error, none of what follows. */
  readonly send: (batch: readonly Statement[]) => Promise<readonly Result[]>;
  readonly cut: () => void;
}

function createSession(line: Line): Session {
  const { database, step } = line;
  const events = new EventEmitter();
  let transaction: Transaction | undefined;
  let isCut = false;
  let isBusy = false;

  async function notice(): Promise<void> {
    await step("the server notices that the line is cut");
    if (transaction !== undefined) rollBack(database, transaction);
    transaction = undefined;
  }

  function cut(): void {
    if (isCut) return;
    isCut = true;
    events.emit("end");
    if (!isBusy && transaction !== undefined) void notice();
  }

  async function execute({ text, values }: Statement): Promise<Result> {
    if (/^\s*begin\b/.test(text)) {
      transaction = begin(database);
      return { rows: [], tag: "BEGIN" };
    }
    if (text === "commit" || text === "commit and chain" || text === "rollback") {
      const ending = transaction;
      transaction = undefined;
      if (ending === undefined) return { rows: [], tag: text.toUpperCase() };
      if (text === "commit and chain") transaction = begin(database);
      if (text !== "rollback") return { rows: [], tag: commit(database, ending) };
      rollBack(database, ending);
      return { rows: [], tag: "ROLLBACK" };
    }
    if (transaction === undefined) throw databaseError("25P01");
    if (transaction.isFailed) throw databaseError("25P02");
    if (IMPATIENT.has(text)) transaction.lockTimeoutMs = 20;
    if (text.startsWith("set local lock_timeout to default")) transaction.lockTimeoutMs = 10_000;
    if (text === INSERT_EFFECT) {
      transaction.effects.push({ id: String(values[0]), run: Number(values[1]) });
      return { rows: [], tag: "INSERT 0 1" };
    }
    return touch(line, transaction, { text, values });
  }

  async function run(batch: readonly Statement[]): Promise<readonly Result[]> {
    const results: Result[] = [];
    for (const statement of batch) {
      try {
        results.push(await execute(statement));
      } catch (error) {
        if (transaction !== undefined) transaction.isFailed = true;
        throw error;
      }
    }
    return results;
  }

  async function send(batch: readonly Statement[]): Promise<readonly Result[]> {
    if (line.isDead()) return NEVER;
    if (isCut) throw new Error("Client has encountered a connection error and is not queryable");
    const fault = line.nextFault();
    if (fault === "request lost") {
      await step("a request is lost");
      cut();
    }
    isBusy = true;
    const outcome = isCut ? undefined : await Promise.allSettled([run(batch)]);
    isBusy = false;
    if (isCut || fault === "answer lost") {
      isCut = true;
      await notice();
      events.emit("end");
    } else await step("an answer arrives");
    if (line.isDead()) return NEVER;
    const [settled] = outcome ?? [];
    if (isCut || settled === undefined) throw new Error("Connection terminated unexpectedly");
    if (settled.status === "rejected") throw settled.reason;
    return settled.value;
  }

  return {
    events,
    status: () => (transaction === undefined ? "I" : transaction.isFailed ? "E" : "T"),
    send,
    cut,
  };
}

/** A statement that reads or writes rows: it has its own moment, and waits where it must, for as long as it may. */
async function touch(
  { database, time, step }: Line,
  transaction: Transaction,
  { text, values }: Statement,
): Promise<Result> {
  const carryOut = beginStatement(text, database, transaction, values);
  // Settings mean nothing here.
  if (carryOut === undefined) return { rows: [], tag: "SET" };
  await step("a statement runs");
  for (;;) {
    try {
      return carryOut();
    } catch (error) {
      if (!(error instanceof Blocked)) throw error;
      const isFree = await Promise.race([
        error.holder.over.then(() => true),
        time.after(transaction.lockTimeoutMs).then(() => false),
      ]);
      // The context of a wait for another transaction.
      if (!isFree) throw Object.assign(databaseError("55P03"), { where: "tuple (0,1)" });
    }
  }
}

interface BatchQuery {
  readonly statements: readonly { readonly text: string; readonly values?: readonly Value[] }[];
  handleDataRow(message: { readonly fields: readonly (string | null)[] }): void;
  handleCommandComplete(message: { readonly text: string }): void;
  handleError(error: unknown): void;
  handleReadyForQuery(): void;
}

function asClient(session: Session, release: () => void): PoolClient {
  const query = (asked: BatchQuery | string, values: readonly Value[] = []): unknown => {
    if (typeof asked === "string") return session.send([{ text: asked, values }]);
    void session.send(asked.statements.map(asStatement)).then(
      (results) => {
        for (const { rows, tag } of results) {
          for (const fields of rows) asked.handleDataRow({ fields });
          asked.handleCommandComplete({ text: tag });
        }
        return asked.handleReadyForQuery();
      },
      (error: unknown) => asked.handleError(error),
    );
    return undefined;
  };
  const client = Object.assign(session.events, {
    query,
    release,
    getTransactionStatus: session.status,
  });
  return client as unknown as PoolClient;
}

function asStatement({ text, values = [] }: BatchQuery["statements"][number]): Statement {
  return { text, values };
}
