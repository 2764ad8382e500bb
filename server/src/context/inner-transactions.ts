/** Several clients on the one connection of a handler: their transactions become savepoints of the handler's own. */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { PoolClient, QueryResult } from "pg";

/** A transaction of a library inside of the handler's: a savepoint on a stack. */
interface InnerTransaction {
  readonly savepoint: string;
  readonly ended: Promise<void>;
  readonly end: () => void;
  /** Number of its statements that are not answered yet. */
  running: number;
  /** Transactions below this one with a statement inside this savepoint: a rollback of this one undoes that statement. */
  readonly guests: Set<InnerTransaction>;
  state: "open" | "committed" | "lost" | "ended";
}

/** Whether a statement begins or ends a transaction. `other`: neither. */
type Control = "begin" | "commit" | "rollback" | "other";

type Asked = readonly unknown[];

/**
 * Shares the transaction of one handler among the clients that its libraries take.
 *
 * A statement outside of the innermost open transaction may be nested in it or run beside it. So
 * the statement waits while that transaction works, and takes part in it if it pauses: a pause may
 * be a wait for this very statement.
 */
export class InnerTransactions {
  readonly #tx: PoolClient;
  readonly #stack: InnerTransaction[] = [];
  #last: Promise<unknown> = Promise.resolve();
  #count = 0;

  constructor(tx: PoolClient) {
    this.#tx = tx;
  }

  /** Makes a client of its own, with at most one open transaction at a time. */
  createClient(): InnerClient {
    return new InnerClient(this, this.#tx);
  }

  /** Sends a statement, on behalf of an open transaction or of none. */
  async send(asked: Asked, own: InnerTransaction | undefined): Promise<unknown> {
    if (own !== undefined) own.running += 1;
    try {
      for (let busy = this.#busyTop(own); busy; busy = this.#busyTop(own)) await quiet(busy);
      if (own?.state === "lost") throw lost();
      if (own !== undefined) this.#noteGuest(own);
      return await this.#ask(asked);
    } finally {
      if (own !== undefined) own.running -= 1;
    }
  }

  /** Passes a query object on, such as a cursor, which reports to its owner by itself. */
  submit(asked: Asked): unknown {
    const query = this.#tx.query.bind(this.#tx) as (...all: Asked) => unknown;
    return query(...asked);
  }

  async begin(): Promise<InnerTransaction> {
    // No further wait between this check and the push: of several that wait, one goes on.
    for (let busy = this.#busyTop(); busy; busy = this.#busyTop()) await quiet(busy);
    this.#count += 1;
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const inner: InnerTransaction = {
      savepoint: `oncekey_${this.#count}`,
      ended,
      end,
      running: 1,
      guests: new Set(),
      state: "open",
    };
    this.#stack.push(inner);
    try {
      await this.#ask([`SAVEPOINT ${inner.savepoint}`]);
    } catch (error) {
      this.#drop(inner, "ended");
      throw error;
    } finally {
      inner.running -= 1;
    }
    return inner;
  }

  /** Keeps what a transaction wrote, until the handler's own ends. @returns whether it could: a failed one is rolled back. */
  async commit(inner: InnerTransaction): Promise<boolean> {
    for (let host = this.#hostOf(inner); host; host = this.#hostOf(inner)) await host.ended;
    if (inner.state === "lost") {
      await this.rollback(inner);
      throw lost();
    }
    if (this.#stack.at(-1) !== inner) {
      // A savepoint below others stays until they have ended: releasing it would take theirs along.
      inner.state = "committed";
      inner.end();
      return true;
    }
    inner.running += 1;
    try {
      await this.#ask([`RELEASE SAVEPOINT ${inner.savepoint}`]);
    } catch (error) {
      if (!isFailedTransaction(error)) throw error;
      await this.rollback(inner);
      return false;
    } finally {
      inner.running -= 1;
    }
    this.#drop(inner, "ended");
    await this.#releaseCommitted();
    return true;
  }

  /** Undoes what a transaction wrote, and with it all that began inside of it and is still open. */
  async rollback(inner: InnerTransaction): Promise<void> {
    const at = this.#stack.indexOf(inner);
    if (at === -1) return;
    for (const above of this.#stack.slice(at + 1)) this.#drop(above, "lost");
    for (const guest of inner.guests) if (guest.state === "open") guest.state = "lost";
    this.#drop(inner, "ended");
    await this.#undo(inner);
    await this.#releaseCommitted();
  }

  // In one go: a savepoint that another client set in between would be released as well.
  async #undo({ savepoint }: InnerTransaction): Promise<void> {
    await Promise.all([
      this.#ask([`ROLLBACK TO SAVEPOINT ${savepoint}`]),
      this.#ask([`RELEASE SAVEPOINT ${savepoint}`]),
    ]);
  }

  #noteGuest(inner: InnerTransaction): void {
    const above = this.#stack.slice(this.#stack.indexOf(inner) + 1);
    for (const { state, guests } of above) if (state === "open") guests.add(inner);
  }

  /** Returns an open transaction whose rollback would undo a statement of `inner`. */
  #hostOf(inner: InnerTransaction): InnerTransaction | undefined {
    return this.#stack.find(({ state, guests }) => state === "open" && guests.has(inner));
  }

  async #releaseCommitted(): Promise<void> {
    for (let top = this.#stack.at(-1); top?.state === "committed"; top = this.#stack.at(-1)) {
      this.#drop(top, "ended");
      await this.#ask([`RELEASE SAVEPOINT ${top.savepoint}`]);
    }
  }

  #drop(inner: InnerTransaction, state: "ended" | "lost"): void {
    const at = this.#stack.indexOf(inner);
    if (at !== -1) this.#stack.splice(at, 1);
    inner.state = state;
    inner.end();
  }

  /** Returns the innermost open transaction while it works, unless it is the statement's own. */
  #busyTop(own?: InnerTransaction): InnerTransaction | undefined {
    const top = this.#stack.findLast(({ state }) => state === "open");
    return top === undefined || top === own || top.running === 0 ? undefined : top;
  }

  /** Sends a statement behind the last one: `pg` has deprecated the queue of its own. */
  #ask(asked: Asked): Promise<unknown> {
    const turn = this.#last.then(() => this.submit(asked));
    this.#last = turn.catch(() => {});
    return turn;
  }
}

/**
 * Resolves when a transaction has ended, or has nothing more to ask: its next statement follows the last answer at once, if there
 * is one.
 */
async function quiet(inner: InnerTransaction): Promise<void> {
  do await Promise.race([inner.ended, nextTurn()]);
  while (inner.running > 0 && inner.state === "open");
  await nextTurn();
}

// 25P02: a statement of the transaction had failed. Postgres is asked, because `pg` learns it only
// behind the statement's error.
function isFailedTransaction(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "25P02";
}

function lost(): Error {
  return new Error(
    "this transaction was rolled back together with another one that was open at the same time; transactions of one handler that run side by side must not roll back",
  );
}

/** A client as a pool would hand it out, on the handler's connection. */
export class InnerClient {
  readonly #transactions: InnerTransactions;
  readonly #tx: PoolClient;
  #open: InnerTransaction | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #isReleased = false;

  constructor(transactions: InnerTransactions, tx: PoolClient) {
    this.#transactions = transactions;
    this.#tx = tx;
  }

  /** Returns it in the shape of a `pg` client. */
  asPoolClient(): PoolClient {
    const query = (...asked: unknown[]): unknown =>
      answer(
        asked,
        (rest) => this.#query(rest),
        (rest) => this.#transactions.submit(rest),
      );
    // Knex marks its clients, also as one to destroy: such marks must not outlive the request on the connection.
    const own: Record<PropertyKey, unknown> = {
      query,
      release: () => this.#release(),
      end: async () => {},
    };
    return new Proxy(this.#tx, {
      get: (target, name) => (Object.hasOwn(own, name) ? own[name] : Reflect.get(target, name)),
      set: (_target, name, value) => Reflect.set(own, name, value),
      deleteProperty: (_target, name) => Reflect.deleteProperty(own, name),
    });
  }

  /** Runs a statement behind the client's last one, as a connection does. */
  #query(asked: Asked): Promise<unknown> {
    const turn = this.#last.then(() => this.#run(asked));
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #run(asked: Asked): Promise<unknown> {
    const open = this.#open;
    const control = controlOf(textOf(asked));
    switch (control) {
      case "begin":
        // Postgres warns of a second BEGIN, and goes on in the first.
        this.#open ??= await this.#transactions.begin();
        return done("BEGIN");
      case "commit": {
        this.#open = undefined;
        const isKept = open === undefined || (await this.#transactions.commit(open));
        return done(isKept ? "COMMIT" : "ROLLBACK");
      }
      case "rollback":
        this.#open = undefined;
        if (open !== undefined) await this.#transactions.rollback(open);
        return done("ROLLBACK");
      case "other":
        return this.#transactions.send(asked, open);
      default:
        return control satisfies never;
    }
  }

  #release(): void {
    if (this.#isReleased) throw new Error("this client of transactional(pool) was released twice");
    this.#isReleased = true;
    // As a pool that closes a connection which is given back inside of a transaction: at once, before others ask anything.
    if (this.#open !== undefined) this.#transactions.rollback(this.#open).catch(() => {});
    this.#open = undefined;
  }
}

/**
 * Answers a query in the way that it was asked: by a callback, by a promise, or, for a query object such as a cursor, by itself.
 * Nothing is thrown at once.
 */
export function answer(
  asked: Asked,
  run: (asked: Asked) => Promise<unknown>,
  submit: (asked: Asked) => unknown,
): unknown {
  const [first] = asked;
  if (typeof first === "object" && first !== null && "submit" in first) return submit(asked);
  const callback = asked.at(-1);
  if (typeof callback !== "function") return run(asked);
  const call = callback as (error: unknown, result?: unknown) => void;
  run(asked.slice(0, -1)).then(
    (result) => call(null, result),
    (error: unknown) => call(error),
  );
  return undefined;
}

function textOf([first]: Asked): string {
  const text = typeof first === "object" && first !== null && "text" in first ? first.text : first;
  return typeof text === "string" ? text : "";
}

const BEGIN = /^\s*(?:begin|start\s+transaction)\b([^;]*);?\s*$/i;
const COMMIT = /^\s*(?:commit|end)(?:\s+(?:work|transaction))?\s*;?\s*$/i;
const ROLLBACK = /^\s*(?:rollback|abort)(?:\s+(?:work|transaction))?\s*;?\s*$/i;
const STRICTER = /isolation\s+level\s+(serializable|repeatable\s+read)/i;

/**
 * Classifies a statement that begins or ends a transaction. `tx` refuses all other ways to do so,
 * such as several statements in one.
 */
function controlOf(text: string): Control {
  const begin = BEGIN.exec(text);
  if (begin !== null) {
    const level = STRICTER.exec(begin[1] ?? "")?.[1];
    if (level === undefined) return "begin";
    throw new Error(
      `isolation level ${level} is refused: the handler's transaction is READ COMMITTED, and a transaction inside of it cannot have another level`,
    );
  }
  if (COMMIT.test(text)) return "commit";
  return ROLLBACK.test(text) ? "rollback" : "other";
}

function done(command: string): QueryResult {
  return { command, rowCount: null, oid: 0, fields: [], rows: [] };
}
