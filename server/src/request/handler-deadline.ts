/** Bounds how long a request may hold its connection, and how long a reply stream may outlive its caller (`maxHandlerMs`). */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { RequestState } from "../context/request-state.ts";
import { closeReply, hasHungUp } from "../response/caller.ts";
import type { HandlerDeadline } from "../context/reply-state.ts";
import { expiredProblem } from "../response/on-send.ts";
import { idleLimitMs } from "../store/postgres/timeouts.ts";
import { digestKey } from "../telemetry/key-digest.ts";

/**
 * Starts the time of a handler. A one-commit handler's runs from its claim on. A lease holds no connection: there it runs from
 * `commit` on, and for a reply stream or a hijacked reply from when its caller has gone.
 */
export function startDeadline(
  state: RequestState,
  request: FastifyRequest,
  reply: FastifyReply,
): HandlerDeadline {
  const { maxHandlerMs, strategy } = state.options;
  const { promise: expired, resolve } = Promise.withResolvers<"expired">();
  let timer: NodeJS.Timeout | undefined;
  let isHijacked = false;

  /** Whether a lease's time runs: its last writes hold a connection, or its reply has lost its caller. */
  function isCounted(): boolean {
    const isStream = state.reply.isReading || isHijacked;
    return isWriting(state) || (isStream && hasHungUp(request, reply));
  }

  async function expire(): Promise<void> {
    if (strategy === "lease" && !isCounted()) {
      // Its commit() failed, and gave the connection back.
      timer = undefined;
      return;
    }
    const heldFor = isWriting(state) ? "commit" : "handler";
    const expiredClaim = state.reply.expire();
    if (expiredClaim === undefined) return;
    const blocked = await expiredClaim.claim.release("timed-out");
    report(state, request, { blocked, heldFor });
    if (expiredClaim.wasReading) resolve("expired");
    else answer(state, reply);
  }

  function check(): void {
    if (strategy === "lease" && !isCounted()) return;
    timer ??= setTimeout(() => void expire(), limitMs(maxHandlerMs)).unref();
  }

  const hijack = reply.hijack.bind(reply);
  reply.hijack = () => {
    isHijacked = true;
    check();
    return hijack();
  };
  check();
  return { expired, check, stop: () => clearTimeout(timer) };
}

// Before Postgres ends the session: until then the log can name what waited for the handler's locks.
function limitMs(maxHandlerMs: number): number {
  return Math.min(maxHandlerMs, idleLimitMs(maxHandlerMs) - 1_000);
}

function answer(state: RequestState, reply: FastifyReply): void {
  // Hijacked, or begun by hand: no problem document can follow what the caller has got.
  if (reply.sent || reply.raw.headersSent) {
    closeReply(reply);
    return;
  }
  const problem = expiredProblem(state, reply);
  state.reply.sent(reply.statusCode);
  state.answerExpired?.(problem);
}

function isWriting({ held }: RequestState): boolean {
  return held?.lastWrites?.isOpen() === true;
}

interface Expired {
  /** A statement on another connection that waited for the handler's transaction. */
  readonly blocked: string | undefined;
  readonly heldFor: "commit" | "handler";
}

function report(state: RequestState, request: FastifyRequest, { blocked, heldFor }: Expired): void {
  const { maxHandlerMs, strategy } = state.options;
  const keyDigest = digestKey(state.ticket?.key);
  if (heldFor === "commit") {
    request.log.error(
      { keyDigest, maxHandlerMs, blocked },
      "the handler did not reply within maxHandlerMs after commit() had begun: its last writes were rolled back, and the key counts as crashed",
    );
  } else if (strategy === "lease") {
    request.log.error(
      { keyDigest, maxHandlerMs },
      "the reply stream did not end within maxHandlerMs after its caller had gone: it was closed, and the key counts as crashed",
    );
  } else if (blocked === undefined) {
    request.log.error(
      { keyDigest, maxHandlerMs },
      "the handler did not finish within maxHandlerMs: its transaction was rolled back and its connection given back",
    );
  } else {
    request.log.error(
      { keyDigest, maxHandlerMs, blocked },
      "the handler did not finish within maxHandlerMs: a statement outside of request.idempotency.tx waited for a row that tx had locked; write it through tx",
    );
  }
}
