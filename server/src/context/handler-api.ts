/** `request.idempotency`: what handlers and hooks see of a protected request. */
import { randomUUID } from "node:crypto";
import type { PoolClient } from "pg";
import { deriveKey } from "../ticket/derive-key.ts";
import type { TicketId } from "../ticket/derive-key.ts";
import type { BeginOutcomeName } from "../telemetry/events.ts";
import type { Claim, Ticket } from "../store/store.ts";
import { leaveScope } from "./handler-scope.ts";
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
 * `request.idempotency`. Set from admission to the end of the request on protected requests: in the handler, the error handler,
 * `onSend` and `onResponse`, for replays and refusals as well. Everywhere else it is `undefined`, although its type does not
 * say so.
 */
export interface RequestIdempotency<Key extends string | undefined = string> {
  /**
   * The key, unquoted. `undefined` if the request has no usable key: in hooks of a refused request, and on a route with
   * `required: false`, whose handler may declare `const { key }: RequestIdempotency<string | undefined>`.
   */
  readonly key: Key;
  /** What the plugin decided for this request, for logs. `'refused'` until it has decided. */
  readonly outcome: BeginOutcomeName;
  /** How many times the handler was started for this key, as far as the record tells. `@range from 1` */
  readonly attempt: number;
  /**
   * A `pg` client in the transaction that commits together with the stored response. It accepts SAVEPOINT, refuses BEGIN, COMMIT
   * and ROLLBACK, and rejects queries after the reply. `undefined` on replays and refusals. Throws under strategy `'lease'`.
   */
  readonly tx: PoolClient;
  /** Aborts when the claim is lost while the handler runs: the connection broke, or another owner took the lease. */
  readonly signal: AbortSignal;
  /**
   * Runs `fn` once for this key and remembers its JSON result (at most 64 KiB) on the record: a rerun gets the result instead.
   * Strategy `'lease'` only; in the others it throws.
   */
  readonly step: Step;
  /**
   * Returns a key for another API's idempotency header: the same on every attempt of this key, a different one for every name.
   * UUIDv5. Without a key it is the same only within this request.
   */
  readonly deriveKey: (name: string) => string;
  /**
   * Rolls the handler's writes back when the reply is sent, whatever its status: for frameworks that turn a thrown error into a
   * reply, and for handlers that decline. `store: false` frees the key as well. Throws once the reply is stored.
   * `@default { store: true }` (a repeat gets the same reply)
   */
  readonly rollback: (options?: RollbackOptions) => void;
  /** Runs `fn` outside of the commit: inside it, use of the lent pool is intended, and `transactional(pool)` is the pool itself. */
  readonly outside: <Result>(fn: () => Result) => Result;
}

export interface RollbackOptions {
  /** Whether the reply is stored. `@default true` */
  readonly store?: boolean;
}

/** The part of a request's state that the application sees. */
interface VisibleState {
  readonly ticket: Ticket | undefined;
  readonly outcome: BeginOutcomeName;
  /** The claim, also after its end. */
  readonly held: Claim | undefined;
  isTxUsed: boolean;
  hasBegunStep: boolean;
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
    this.#state.isTxUsed = true;
    if (held !== undefined && held.tx === undefined) {
      throw new Error(
        "strategy 'lease' holds no transaction: use a pool of your own, and step() for what must not be repeated",
      );
    }
    // Undefined on replays and refusals, so that `request.idempotency?.tx ?? pool` works in a hook.
    return held?.tx as PoolClient;
  }

  get signal(): AbortSignal {
    return this.#state.held?.signal ?? NEVER;
  }

  get step(): Step {
    this.#step ??= this.#createStep();
    return this.#step;
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

  #createStep(): Step {
    const step = createStep(this.#state.held?.steps);
    return (name, fn) => {
      this.#state.hasBegunStep = true;
      return step(name, fn);
    };
  }

  #withoutKey(): TicketId {
    this.#keyless ??= { scope: "", target: "", key: randomUUID() };
    return this.#keyless;
  }
}

const NEVER = new AbortController().signal;
