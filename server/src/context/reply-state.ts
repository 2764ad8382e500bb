/** The state machine of a protected reply: decides which reply is sent, and how the claim ends. */
import type { Claim } from "../store/store.ts";
import { discard } from "./payload.ts";

/**
 * `open`: nothing is sent. `reading`: the payload is read and nothing is stored, so that an error of the handler still replaces
 * the reply. `storing`: from now on nothing else may be sent. `sent`: the reply is on its way, stored or not.
 */
type Phase = "open" | "reading" | "storing" | "sent";

/** The time of one handler. */
export interface HandlerDeadline {
  /** Resolves when the time is up while the reply is read: the claim is given back then. */
  readonly expired: Promise<"expired">;
  /** Starts the timer if it has to run from now on. */
  readonly check: () => void;
  readonly stop: () => void;
}

/** A reply whose payload is being read. */
export interface Reading {
  readonly claim: Claim;
  /** The payload as sent, or the stream that it is read from. */
  payload: unknown;
  /** Whether the handler had failed before it sent. */
  readonly threw: boolean;
  /** The status of what it threw. */
  readonly thrownStatus: number;
}

/**
 * Decision about a payload that reaches our `onSend` hook. `store`: the claim's holder answers.
 * `first`: a replay, a refusal, or the reply of a claim that was given back. `pass`: an error
 * behind a reply that was sent. `drop`: another reply is being stored.
 */
export type SendDecision =
  | { readonly kind: "store"; readonly reading: Reading }
  | { readonly kind: "first" }
  | { readonly kind: "pass" }
  | { readonly kind: "drop" };

export class ReplyState {
  #phase: Phase = "open";
  /** The claim that still has to be ended: by storing the reply, or by a release. */
  #claim: Claim | undefined;
  #reading: Reading | undefined;
  #threw = false;
  #thrownStatus = 500;
  /** Whether a hook behind ours failed on the sent reply: then its error is sent instead. */
  #hasFailedBehind = false;
  #status: number | undefined;
  #isExpired = false;
  /** The time of the handler; `undefined` without a claim. */
  deadline: HandlerDeadline | undefined;

  /** Whether the time of the handler is up: then nothing that it still sends is the reply. */
  get isExpired(): boolean {
    return this.#isExpired;
  }

  /** Whether a claim waits for the handler's reply. */
  get isHeld(): boolean {
    return this.#claim !== undefined;
  }

  get isReading(): boolean {
    return this.#phase === "reading";
  }

  /** Whether nothing is sent yet. */
  get isOpen(): boolean {
    return this.#phase === "open";
  }

  /** Whether the handler can still change what becomes of its writes. */
  get isUndecided(): boolean {
    return this.#phase === "open" || this.#phase === "reading";
  }

  /** The status that is sent, once it is known. */
  get status(): number | undefined {
    return this.#status;
  }

  hold(claim: Claim, deadline: HandlerDeadline): void {
    this.#claim = claim;
    this.deadline = deadline;
  }

  /** Notes an error that Fastify answers: of the handler, or of a hook behind the sent reply. */
  fail(status: number): void {
    this.#threw = true;
    this.#thrownStatus = status;
    if (this.#phase === "sent") this.#hasFailedBehind = true;
  }

  /** Decides what becomes of a payload that is about to leave. */
  send(payload: unknown): SendDecision {
    switch (this.#phase) {
      case "open":
        if (this.#claim !== undefined) return this.#read(this.#claim, payload);
        this.#phase = "sent";
        return { kind: "first" };
      case "reading": {
        const reading = this.#reading;
        // A second send, such as the empty one that Fastify adds if a handler sent without returning the reply: the first answers.
        if (reading === undefined || reading.threw || !this.#threw) return { kind: "drop" };
        discard(reading.payload);
        return this.#read(reading.claim, payload);
      }
      case "storing":
        return { kind: "drop" };
      case "sent":
        return { kind: "pass" };
      default:
        return this.#phase satisfies never;
    }
  }

  /**
   * Goes from reading to storing. Returns `false` if the handler failed in the meantime: then its
   * error is the reply, whether it has been sent yet or not.
   */
  store(reading: Reading): boolean {
    if (this.#reading !== reading) return false;
    this.#reading = undefined;
    if (this.#threw !== reading.threw) {
      discard(reading.payload);
      this.#claim = reading.claim;
      this.#phase = "open";
      return false;
    }
    this.#phase = "storing";
    return true;
  }

  /** Ends the storing, whatever came of it. */
  sent(status: number): void {
    this.#phase = "sent";
    this.#status = status;
  }

  /**
   * Whether a further reply of the handler, or Fastify's timeout, comes too late. An error of a
   * hook behind ours does not. Fastify reports only the first error of a request to its hooks.
   * After a handler has thrown, each later error therefore counts as a hook's error.
   */
  get isTooLate(): boolean {
    if (this.#phase === "storing") return true;
    return this.#phase === "sent" && !this.#hasFailedBehind && !this.#threw;
  }

  /** Gives the claim back if nothing has ended it, and its key free. */
  async release(): Promise<void> {
    const claim = this.#claim;
    // Without a claim the reply is being read, and its time goes on.
    if (claim === undefined) return;
    this.#claim = undefined;
    this.deadline?.stop();
    await claim.release("failed");
  }

  /** Takes the claim away from a handler whose time is up, and closes what it sent. */
  expire(): { readonly claim: Claim; readonly wasReading: boolean } | undefined {
    const reading = this.#reading;
    const claim = this.#claim ?? reading?.claim;
    if (claim === undefined) return undefined;
    this.#claim = undefined;
    this.#reading = undefined;
    this.#isExpired = true;
    this.#phase = "storing";
    discard(reading?.payload);
    return { claim, wasReading: reading !== undefined };
  }

  #read(claim: Claim, payload: unknown): SendDecision {
    const reading = { claim, payload, threw: this.#threw, thrownStatus: this.#thrownStatus };
    this.#claim = undefined;
    this.#phase = "reading";
    this.#reading = reading;
    return { kind: "store", reading };
  }
}
