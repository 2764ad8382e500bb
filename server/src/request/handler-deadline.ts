/** Bounds how long a request may hold its connection, and how long a reply stream may outlive its caller (`maxHandlerMs`). */
import type { FastifyReply, FastifyRequest } from "fastify";
import type { HandlerDeadline, RequestState } from "../context/request-state.ts";
import { discard } from "../response/capture.ts";
import { expiredProblem } from "../response/on-send.ts";
import { digestKey } from "../telemetry/events.ts";

/**
 * Starts the time of a handler. A one-commit handler's runs from its claim on. A lease holds no connection: there the time of a
 * reply stream, or of a hijacked reply, begins when its caller has gone.
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

  async function expire(): Promise<void> {
    const { reading } = state;
    const claim = state.claim ?? reading?.claim;
    if (claim === undefined) return;
    state.claim = undefined;
    state.reading = undefined;
    state.isExpired = true;
    state.sending = "now";
    discard(reading?.payload);
    const blocked = await claim.release("timed-out");
    report(state, request, blocked);
    if (reading !== undefined) resolve("expired");
    else answer(state, reply);
  }

  function check(): void {
    const isStream = state.reading !== undefined || isHijacked;
    if (strategy === "lease" && !(isStream && hasHungUp(request, reply))) return;
    timer ??= setTimeout(() => void expire(), maxHandlerMs).unref();
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

/** Whether the caller has closed its connection, or its stream of one. */
export function hasHungUp({ raw: { socket } }: FastifyRequest, { raw }: FastifyReply): boolean {
  const stream = http2Stream(raw);
  return stream === undefined ? raw.closed || socket.destroyed : stream.closed || stream.destroyed;
}

function answer(state: RequestState, reply: FastifyReply): void {
  // Hijacked, or begun by hand: no problem document can follow what the caller has got.
  if (reply.sent || reply.raw.headersSent) {
    (http2Stream(reply.raw) ?? reply.raw).destroy();
    return;
  }
  state.sending = "done";
  state.answerExpired?.(expiredProblem(state, reply));
  state.status = reply.statusCode;
}

function report(state: RequestState, request: FastifyRequest, blocked: string | undefined): void {
  const { maxHandlerMs, strategy } = state.options;
  const keyDigest = digestKey(state.ticket?.key);
  if (strategy === "lease") {
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

interface Http2Stream {
  readonly closed: boolean;
  readonly destroyed: boolean;
  destroy(): void;
}

function http2Stream(raw: FastifyReply["raw"]): Http2Stream | undefined {
  return "stream" in raw ? (raw.stream as Http2Stream) : undefined;
}
