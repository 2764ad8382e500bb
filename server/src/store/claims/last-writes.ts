/** A transaction for the last writes of a lease's handler: it stays open until the response is stored in it. */
import type { PoolClient } from "pg";
import type { Connection } from "../postgres/connection.ts";
import { createHandlerClient } from "../postgres/handler-client.ts";
import type { HandlerClient } from "../postgres/handler-client.ts";
import { abandon, ask, askToBegin, commit, terminate } from "../postgres/transaction.ts";
import type { Statement, StatementResult } from "../postgres/batch.ts";
import type { StoreParts } from "../store-parts.ts";
import type { CommitWrites, Completion } from "../store.ts";
import { finish } from "./transaction-claim.ts";

export interface LastWrites {
  readonly commit: CommitWrites;
  /** Whether `commit` was called and did not fail. */
  isOpen(): boolean;
  /** Rolls an open transaction back. Never throws. */
  abandon(): Promise<void>;
  /** The same for a handler that had its time: cancels a running statement. Returns a statement that waited for the transaction. */
  terminate(): Promise<string | undefined>;
  /**
   * Sends the statements in the transaction, and commits it if `isRight` accepts their results.
   * Otherwise, or if Postgres refuses one, the transaction is rolled back. This takes two round
   * trips, because a COMMIT in the batch would not wait for the decision.
   */
  end(
    batch: readonly Statement[],
    isRight: (results: readonly StatementResult[]) => boolean,
  ): Promise<Ended>;
}

/** End of the transaction. `refused`: `isRight` returned `false`. */
type Ended =
  | { readonly kind: "committed" }
  | { readonly kind: "refused" }
  | Extract<Completion, { kind: "rolled-back" | "unknown" }>;

/** The store could not begin the transaction: nothing of it was done. */
class CommitUnavailableError extends Error {
  override name = "CommitUnavailableError";
  readonly statusCode = 503;
}

export function createLastWrites({ connect, statements }: StoreParts): LastWrites {
  let connection: Connection | undefined;
  let lent: HandlerClient | undefined;
  let state: "unused" | "running" | "open" | "ended" = "unused";

  /** Takes the connection out, so that each is given back once. */
  function take(): Connection | undefined {
    const taken = connection;
    connection = undefined;
    lent?.close();
    return taken;
  }

  async function begin(): Promise<Connection> {
    let opened: Connection | undefined;
    try {
      opened = await connect();
      await askToBegin(opened, statements.open);
    } catch (cause) {
      opened?.release("destroy");
      throw new CommitUnavailableError("the transaction of commit() could not begin", { cause });
    }
    if (!hasEnded()) return opened;
    await abandon(opened);
    throw new Error("commit() was called, and the reply was sent before its transaction began");
  }

  // A function, because the state changes while a promise is awaited.
  function hasEnded(): boolean {
    return state === "ended";
  }

  return {
    async commit<Result>(write: (tx: PoolClient) => Promise<Result> | Result): Promise<Result> {
      if (state === "ended") throw new Error("commit() was called after the reply");
      if (state !== "unused")
        throw new Error("commit() was called twice in one run; put all last writes into one");
      state = "running";
      try {
        const opened = await begin();
        connection = opened;
        lent = createHandlerClient(opened.client);
        const result = await write(lent.tx);
        if (hasEnded()) throw new Error("the reply was sent before commit() had ended");
        state = "open";
        return result;
      } catch (error) {
        const failed = take();
        if (failed !== undefined) await abandon(failed);
        if (!hasEnded()) state = "unused";
        throw error;
      }
    },

    isOpen: () => state === "running" || state === "open",

    async abandon() {
      state = "ended";
      const taken = take();
      if (taken !== undefined) await abandon(taken);
    },

    async terminate() {
      state = "ended";
      const taken = take();
      return taken && terminate(taken);
    },

    async end(batch, isRight) {
      const isWritten = state === "open";
      state = "ended";
      const taken = take();
      if (taken === undefined || !isWritten) {
        if (taken !== undefined) await abandon(taken);
        const cause = new Error("the reply was sent before commit() had ended");
        return { kind: "rolled-back", cause };
      }
      try {
        if (!isRight(await ask(taken, batch))) {
          await abandon(taken);
          return { kind: "refused" };
        }
      } catch (cause) {
        const ended = await finish(taken, { kind: "rolled-back", cause });
        // No COMMIT was sent yet, so that a lost session means a rollback as well.
        return ended.kind === "unknown" ? { kind: "rolled-back", cause } : ended;
      }
      return commitAndRelease(taken);
    },
  };
}

async function commitAndRelease(connection: Connection): Promise<Ended> {
  const outcome = await commit(connection, []);
  if (outcome.kind !== "committed") return finish(connection, outcome);
  connection.release();
  return outcome;
}
