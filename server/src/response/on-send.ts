/** The last step of a protected request: the response is stored, and only then sent. */
import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { hasHungUp } from "./caller.ts";
import { asReadable, capture, present, readHead, restoreHead } from "./capture.ts";
import type { Captured, Head } from "./capture.ts";
import { discard, unwrap } from "../context/payload.ts";
import { reportUnusedTransaction } from "../context/outside-writes.ts";
import { STATE } from "../context/request-state.ts";
import type { RequestState } from "../context/request-state.ts";
import type { Reading, ReplyState } from "../context/reply-state.ts";
import {
  acknowledge,
  clearContent,
  markRefusal,
  refusalOf,
  writeProblem,
  writeReplay,
  writeServerError,
} from "./replay.ts";
import { remainingFenceMs } from "../store/record.ts";
import type { Completion } from "../store/store.ts";
import { digestKey } from "../telemetry/key-digest.ts";
import type { MaybePromise } from "../async/maybe-promise.ts";

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
  // Undefined in a scope that is older than the plugin: Fastify gives it our hooks, but not our decorators.
  const state = request[STATE] ?? undefined;
  if (state === undefined) {
    done(null, payload);
    return undefined;
  }
  const decision = state.reply.send(payload);
  switch (decision.kind) {
    case "store":
      return finish(decision.reading, state, request, reply);
    case "drop":
      return undefined;
    case "pass":
      done(null, payload);
      return undefined;
    case "first":
      done(null, state.replay === undefined ? payload : presentReplay(reply, state.replay.body));
      return undefined;
    default:
      return decision satisfies never;
  }
}

/** The stored body, whatever earlier hooks made of it. Null, because Fastify reads undefined as "leave the payload as it is". */
function presentReplay(reply: FastifyReply, body: Buffer | undefined): string | Buffer | null {
  // An earlier hook set it for bytes that it had made.
  reply.removeHeader("content-encoding");
  return body === undefined ? null : present(reply, body);
}

async function finish(
  reading: Reading,
  state: RequestState,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const taking = take(state, reading, reply);
  const taken = taking instanceof Promise ? await inTime(state.reply, taking) : taking;
  if (taken !== "expired" && !state.reply.store(reading)) return new Promise<never>(() => {});
  state.reply.deadline?.stop();
  try {
    if (taken === "expired") return expiredProblem(state, reply);
    const sent = await settle(reading, taken, state, request, reply);
    if (!isStream(sent) || !hasHungUp(request, reply)) return sent;
    // Over HTTP/2 Fastify would never close it: it waits for an end of the reply that has been.
    discard(sent);
    return null;
  } finally {
    state.reply.sent(reply.statusCode);
  }
}

function isStream(payload: unknown): boolean {
  return payload instanceof Readable || payload instanceof ReadableStream;
}

/**
 * Waits for the captured payload or the handler's timeout. The timeout also closes the payload, so
 * both may end together.
 */
async function inTime(reply: ReplyState, taking: Promise<Taken>): Promise<Taken | "expired"> {
  const { deadline } = reply;
  if (deadline === undefined) return taking;
  deadline.check();
  const first = await Promise.race([taking, deadline.expired]);
  return reply.isExpired ? deadline.expired : first;
}

/** Ends the claim with what was taken of the reply and returns what is to be sent. Throws what reading the payload threw. */
async function settle(
  reading: Reading,
  taken: Taken,
  state: RequestState,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { options } = state;
  const { claim, threw, payload } = reading;
  if (taken.kind === "failed") {
    discard(payload);
    await claim.release("failed");
    // Fastify would keep a 4xx of the handler for this error, and the caller would take it for its final answer.
    reply.code(500);
    throw taken.error;
  }
  const { captured, head, status } = taken;
  if (captured.response === undefined || state.rollback === "free") {
    await claim.release(status >= 500 ? "failed" : threw ? "refused" : "free");
    restoreHead(reply, head);
    return captured.payload;
  }
  const isKept = !threw && state.rollback === undefined;
  const completion = await claim.complete(captured.response, isKept ? "keep" : "discard");
  // Ignores a failure in the meantime: the caller gets the stored response.
  restoreHead(reply, head);
  report(request, state.ticket?.key, completion);
  if (completion.kind !== "stored") discard(captured.payload);
  switch (completion.kind) {
    case "stored":
      if (isKept && head.status < 300) reportUnused(state, request);
      return captured.payload;
    case "superseded": {
      const { record } = completion;
      clearContent(reply, options.storeHeaders);
      acknowledge(reply, state.ticket?.key, remainingFenceMs(record));
      // If the key was forgotten in the meantime, another request may have taken it.
      const isMismatch = state.ticket?.fingerprint.equals(record.fingerprint) === false;
      const refusal = refusalOf(record, isMismatch, options);
      if (refusal === undefined)
        return presentReplay(reply, writeReplay(reply, record.response, isMismatch));
      markRefusal(reply, isMismatch, options);
      return writeProblem(reply, refusal, options);
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
      if (completion.isFinal) return writesRefused(state, reply);
      return unavailable(
        state,
        reply,
        "Nothing was kept of this request; send it again with the same key",
      );
    case "unknown":
      return unavailable(
        state,
        reply,
        "Whether this request was done is not known yet; send it again with the same key",
      );
    default:
      return completion satisfies never;
  }
}

/** The payload to send and, if its status is kept, the response to store; or the failure. */
type Taken =
  | {
      readonly kind: "taken";
      readonly head: Head;
      /** The status that decides what becomes of the key. */
      readonly status: number;
      readonly captured: Captured | { readonly response: undefined; readonly payload: unknown };
    }
  | { readonly kind: "failed"; readonly error: unknown };

function take(state: RequestState, reading: Reading, reply: FastifyReply): MaybePromise<Taken> {
  const { options } = state;
  try {
    reading.payload = unwrap(reply, reading.payload);
    const { threw, thrownStatus } = reading;
    // An error handler that replies 2xx for a throw makes no success of it.
    const status = threw && reply.statusCode < 400 ? thrownStatus : reply.statusCode;
    const isStored = state.rollback !== "free" && options.storeStatus(status);
    const head = readHead(reply);
    if (isStored) reading.payload = asReadable(reading.payload);
    const { payload } = reading;
    const captured = isStored
      ? capture(reply, head, payload, options)
      : { response: undefined, payload };
    if (!(captured instanceof Promise)) return { kind: "taken", head, status, captured };
    return captured.then((read) => ({ kind: "taken", head, status, captured: read }), failed);
  } catch (error) {
    return failed(error);
  }
}

function failed(error: unknown): Taken {
  return { kind: "failed", error };
}

function reportUnused(
  { options, ticket, held, isTxUsed }: RequestState,
  request: FastifyRequest,
): void {
  if (isTxUsed || ticket === undefined || held?.tx === undefined) return;
  reportUnusedTransaction(options, request.log);
}

/** Makes a 503 of the reply of a handler whose time is up. */
export function expiredProblem(state: RequestState, reply: FastifyReply): Buffer {
  const { maxHandlerMs } = state.options;
  return unavailable(
    state,
    reply,
    `The handler did not finish within ${maxHandlerMs} ms; ${keptOf(state)}`,
  );
}

function unavailable(state: RequestState, reply: FastifyReply, detail: string): Buffer {
  clearContent(reply, state.options.storeHeaders);
  return writeProblem(reply, { code: "idempotency_unavailable", detail }, state.options);
}

// Not one of the contract's codes: it is the application's mistake, and trying again repeats it.
function writesRefused(state: RequestState, reply: FastifyReply): Buffer {
  const { options } = state;
  clearContent(reply, options.storeHeaders);
  return writeServerError(
    reply,
    {
      code: "idempotency_writes_refused",
      title: "The database refused the writes of the handler",
      detail: `The database refused the writes of the handler; ${keptOf(state)}`,
    },
    options,
  );
}

/** A lease's handler has had effects before its last writes, which no rollback takes back. */
function keptOf({ options }: RequestState): string {
  return options.strategy === "lease"
    ? "its last writes were rolled back, and the key counts as crashed"
    : "nothing was kept of this request";
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
    const message =
      kind === "rolled-back" && completion.isFinal
        ? "Postgres refused the handler's writes, at COMMIT or in a statement whose error the handler caught without a savepoint: they were rolled back"
        : `the response was not stored: ${kind}`;
    logFailure(request, { key, cause }, message);
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
