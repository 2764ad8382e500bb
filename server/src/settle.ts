/** The last step of a protected request: the response is stored, and only then sent. */
import type { FastifyReply, FastifyRequest } from "fastify";
import { capture, present, unwrap } from "./capture.ts";
import type { Captured } from "./capture.ts";
import { EXCHANGE } from "./exchange.ts";
import type { Exchange } from "./exchange.ts";
import { acknowledge, clearContent, refusalOf, writeProblem, writeReplay } from "./replay.ts";
import { remainingMs } from "./store/record.ts";
import type { Claim, Completion } from "./store/store.ts";
import { digestKey } from "./telemetry.ts";

/**
 * The `onSend` hook: stores what a claim's handler answered before it leaves, and puts the stored bytes of a replay in place of
 * what earlier hooks made of them. All other replies pass.
 */
export function onSend(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
  done: (error: null, payload: unknown) => void,
): Promise<unknown> | undefined {
  const exchange = request[EXCHANGE];
  // A second send while the first is being stored, such as the empty one that Fastify adds where a handler sent without
  // returning the reply: the first one answers, and this one must not get past it.
  if (exchange?.sending === "now") return undefined;
  if (exchange?.sending === "not-yet") {
    const { claim, replay } = exchange;
    if (claim !== undefined) return finish(claim, exchange, request, reply, payload);
    exchange.sending = "done";
    if (replay !== undefined) payload = presentReplay(reply, replay.body);
  }
  done(null, payload);
  return undefined;
}

/** The stored body, whatever earlier hooks made of it. Null, because Fastify reads undefined as "leave the payload as it is". */
function presentReplay(reply: FastifyReply, body: Buffer | undefined): string | Buffer | null {
  // Said by an earlier hook of the bytes that it had made.
  reply.removeHeader("content-encoding");
  return body === undefined ? null : present(reply, body);
}

async function finish(
  claim: Claim,
  exchange: Exchange,
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): Promise<unknown> {
  exchange.claim = undefined;
  exchange.sending = "now";
  try {
    return await settle(claim, exchange, request, reply, payload);
  } finally {
    exchange.sending = "done";
  }
}

/** Ends the claim with the reply's payload and returns what is to be sent. Throws what reading the payload throws. */
async function settle(
  claim: Claim,
  exchange: Exchange,
  request: FastifyRequest,
  reply: FastifyReply,
  payload: unknown,
): Promise<unknown> {
  const { options, threw } = exchange;
  const captured = await captureOrRelease(claim, exchange, reply, payload);
  if (captured.response === undefined) {
    await claim.release(threw || reply.statusCode >= 500 ? "failed" : "free");
    return captured.payload;
  }
  const completion = await claim.complete(captured.response, threw ? "discard" : "keep");
  report(request, exchange.key, completion);
  switch (completion.kind) {
    case "stored":
      return captured.payload;
    case "superseded": {
      const { record } = completion;
      clearContent(reply, options.storeHeaders);
      acknowledge(reply, exchange.key, remainingMs(record));
      // The same ticket: what stands there was made by this key on this target, and is the answer to it.
      const refusal = refusalOf(record, false, options);
      return refusal
        ? writeProblem(reply, refusal, options)
        : presentReplay(reply, writeReplay(reply, record.response, false));
    }
    case "lost":
      clearContent(reply, options.storeHeaders);
      return writeProblem(
        reply,
        {
          code: "idempotency_in_flight",
          detail: "Another request has taken this key over and still runs",
        },
        options,
      );
    case "rolled-back":
      return unavailable(
        exchange,
        reply,
        "Nothing was kept of this request; send it again with the same key",
      );
    case "unknown":
      return unavailable(
        exchange,
        reply,
        "Whether this request was done is not known yet; send it again with the same key",
      );
    default:
      return completion satisfies never;
  }
}

/** The response to store, or none where its status is not kept. Whatever throws on the way, the claim is ended first. */
async function captureOrRelease(
  claim: Claim,
  { options }: Exchange,
  reply: FastifyReply,
  payload: unknown,
): Promise<Captured | { readonly response: undefined; readonly payload: unknown }> {
  try {
    const unwrapped = unwrap(reply, payload);
    if (!options.storeStatus(reply.statusCode)) return { response: undefined, payload: unwrapped };
    return await capture(reply, unwrapped, options);
  } catch (error) {
    await claim.release("failed");
    // Fastify would keep a 4xx of the handler for this error, and the caller would take it for its final answer.
    reply.code(500);
    throw error;
  }
}

function unavailable(exchange: Exchange, reply: FastifyReply, detail: string): Buffer {
  clearContent(reply, exchange.options.storeHeaders);
  return writeProblem(reply, { code: "idempotency_unavailable", detail }, exchange.options);
}

function report(request: FastifyRequest, key: string | undefined, completion: Completion): void {
  if (completion.kind === "stored" && !completion.split) return;
  const keyDigest = digestKey(key);
  if (completion.kind === "stored") {
    request.log.error(
      { keyDigest },
      "the handler ended the transaction of request.idempotency.tx itself: its writes and the stored response were not one commit",
    );
  } else if (completion.kind === "superseded") {
    request.log.warn(
      { keyDigest },
      "another request with this key finished first; this one's writes were rolled back",
    );
  } else if (completion.kind === "lost") {
    request.log.error(
      { keyDigest },
      "the lease was lost while the handler ran; its response was not stored",
    );
  } else {
    const { cause, kind } = completion;
    logFailure(request, { key, cause }, `the response was not stored: ${kind}`);
  }
}

/** Logs a failure of the store without what Postgres quotes from the row: key, scope and body stay out of the log. */
export function logFailure(
  request: FastifyRequest,
  { key, cause }: { readonly key: string | undefined; readonly cause: unknown },
  message: string,
): void {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const sqlState = cause instanceof Error && "code" in cause ? cause.code : undefined;
  request.log.error({ keyDigest: digestKey(key), reason, sqlState }, message);
}
