/** `request.idempotency`: what handlers and hooks see of a protected request. */
import { randomUUID } from "node:crypto";
import type { Pool, PoolClient } from "pg";
import { deriveKey } from "../ticket/derive-key.ts";
import type { TicketId } from "../ticket/derive-key.ts";
import type { BeginOutcomeName } from "../telemetry/events.ts";
import type { Claim, CommitWrites, Ticket } from "../store/store.ts";
import { HandlerScope, leaveScope } from "./handler-scope.ts";
import { createStep } from "./steps.ts";
import type { Step } from "./steps.ts";

// Here, because this file is part of the published types: the merge has to come along with them.
declare module "fastify" {
  interface FastifyRequest {
    /** The key, transaction and outcome of a protected request. `undefined` everywhere else. */
    readonly idempotency: RequestIdempotency;
  }
}

/**
 * `request.idempotency`. Set from admission to the end of the request on protected requests: in the
 * handler, the error handler, `onSend` and `onResponse`, for replays and refusals as well.
 * Everywhere else it is `undefined`, although its type is not optional.
 */
export interface RequestIdempotency<Key extends string | undefined = string> {
  /**
   * The key, unquoted. `undefined` if the request has no usable key: in hooks of a refused request, and on a route with
   * `required: false`, whose handler may declare `const { key }: RequestIdempotency<string | undefined>`.
   */
  readonly key: Key;
  /** The plugin's decision for this request, for logs. `'refused'` until it has decided. */
  readonly outcome: BeginOutcomeName;
  /**
   * Number of times the handler was started for this key, according to the record.
   *
   * @range from 1
   */
  readonly attempt: number;
  /**
   * A `pg` client in the transaction that commits together with the stored response. It accepts SAVEPOINT, refuses BEGIN, COMMIT
   * and ROLLBACK, and rejects queries after the reply. `undefined` on replays and refusals. Throws under strategy `'lease'`.
   */
  readonly tx: PoolClient;
  /** Aborts when the claim is lost while the handler runs: the connection broke, or another owner took the lease. */
  readonly signal: AbortSignal;
  /**
   * Runs `fn` once for this key and remembers its result on the record, as JSON of at most 64 KiB: first run and rerun return the
   * same JSON value. If `fn` throws, it may be called again. A name can be used once in a run. A result that cannot be stored is
   * remembered as done: `step` throws, then and in every rerun. Strategy `'lease'` only; in the others it throws.
   */
  readonly step: Step;
  /**
   * Opens a transaction for the handler's last writes, such as the order behind a charge, and runs `write` in it. It commits
   * together with the stored response when the reply is sent, and only if the lease is still this handler's. A reply that is not
   * stored rolls it back. Once a run, behind the last step: it holds a connection until the reply. Strategy `'lease'` only.
   */
  readonly commit: CommitWrites;
  /**
   * Returns a key for another API's idempotency header: the same on every attempt of this key, a different one for every name.
   * UUIDv5. Without a key it is the same only within this request.
   */
  readonly deriveKey: (name: string) => string;
  /**
   * Rolls the handler's writes back when the reply is sent, whatever its status: for frameworks that turn a thrown error into a
   * reply, and for handlers that decline. `store: false` frees the key as well. Throws once the reply is stored.
   *
   * @default { store: true } (a repeat gets the same reply)
   */
  readonly rollback: (options?: RollbackOptions) => void;
  /** Runs `fn` outside of the commit: inside it, use of the lent pool is intended, and `transactional(pool)` is the pool itself. */
  readonly outside: <Result>(fn: () => Result) => Result;
}

export interface RollbackOptions {
  /**
   * Whether the reply is stored.
   *
   * @default true
   */
  readonly store?: boolean;
}

/** The part of a request's state that the application sees. */
interface VisibleState {
  readonly ticket: Ticket | undefined;
  readonly outcome: BeginOutcomeName;
  /** The claim, also after its end. */
  readonly held: Claim | undefined;
  /** The pool that was asked for the claim. */
  readonly pool: Pool | undefined;
  readonly reply: { readonly deadline: { check(): void } | undefined };
  isTxUsed: boolean;
  rollBack(how: "store" | "free"): void;
}

/** Reads one request's state for the application. Getters return closures, so that every member can be destructured. */
export class HandlerApi implements RequestIdempotency<string | undefined> {
  readonly #state: VisibleState;
  #step: Step | undefined;
  #keyless: TicketId | undefined;

  constructor(state: VisibleState) {
    this.#state = state;
  }

  get key(): string | undefined {
    return this.#state.ticket?.key;
  }

  get outcome(): BeginOutcomeName {
    return this.#state.outcome;
  }

  get attempt(): number {
    return this.#state.held?.attempt ?? 1;
  }

  get tx(): PoolClient {
    const { held } = this.#state;
    const tx = held?.tx;
    this.#state.isTxUsed = true;
    if (held !== undefined && tx === undefined) {
      throw new Error(
        "strategy 'lease' holds no transaction: use step() for calls that must not be repeated, and commit() for the last writes",
      );
    }
    // Undefined on replays and refusals, so that `request.idempotency?.tx ?? pool` works in a hook.
    return tx as PoolClient;
  }

  get signal(): AbortSignal {
    return this.#state.held?.signal ?? NEVER;
  }

  get step(): Step {
    this.#step ??= createStep(this.#state.held?.steps);
    return this.#step;
  }

  get commit(): CommitWrites {
    const { held, pool } = this.#state;
    const lastWrites = held?.lastWrites;
    if (lastWrites === undefined) return refuseCommit;
    return (write) =>
      lastWrites.commit((tx) => {
        // The handler holds a connection from here on.
        this.#state.reply.deadline?.check();
        if (pool === undefined) return write(tx);
        // Repositories behind transactional(pool) write in it as well.
        return new HandlerScope(pool, () => tx, ignoreUse).run(() => write(tx));
      });
  }

  get deriveKey(): (name: string) => string {
    return (name) => deriveKey(this.#state.ticket ?? this.#withoutKey(), name);
  }

  get rollback(): (options?: RollbackOptions) => void {
    return ({ store = true } = {}) => this.#state.rollBack(store ? "store" : "free");
  }

  get outside(): <Result>(fn: () => Result) => Result {
    return leaveScope;
  }

  #withoutKey(): TicketId {
    this.#keyless ??= { scope: "", target: "", key: randomUUID() };
    return this.#keyless;
  }
}

async function refuseCommit(): Promise<never> {
  throw new Error(
    "request.idempotency.commit is for strategy 'lease'; in the others write through request.idempotency.tx",
  );
}

function ignoreUse(): void {}

const NEVER = new AbortController().signal;
