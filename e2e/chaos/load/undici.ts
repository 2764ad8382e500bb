/** undici's own client with its own retries: above them one request, below them attempts, each with its way and in the history. */
import { request, RetryAgent } from "undici";
import type { Agent, Dispatcher } from "undici";
import { ATTEMPT_MS, ATTEMPTS, BASE_MS, CAP_MS, DEADLINE_MS, NOWHERE, toInit } from "./clients.ts";
import type { Send } from "./clients.ts";
import { openAttempt } from "./recorder.ts";
import type { OpenAttempt, RecorderParts } from "./recorder.ts";

// Statuses that undici retries by default, and those that users with keys add: still under way, and
// late.
const STATUS_CODES = [409, 429, 500, 502, 503, 504];
const TIMEOUT_CODES = [
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_BODY_TIMEOUT",
];
const ERROR_CODES = [
  "ECONNRESET",
  "ECONNREFUSED",
  "ENETDOWN",
  "ENETUNREACH",
  "EHOSTDOWN",
  "EHOSTUNREACH",
  "EPIPE",
  "UND_ERR_SOCKET",
  ...TIMEOUT_CODES,
];

/** @param agent shared by the clients of a load; its creator closes it. */
export function createUndiciSend(parts: RecorderParts, process: string, agent: Agent): Send {
  const dispatcher = new RetryAgent(agent.compose(recordAttempts(parts, process)), {
    methods: ["POST"],
    statusCodes: STATUS_CODES,
    errorCodes: ERROR_CODES,
    maxRetries: ATTEMPTS - 1,
    minTimeout: BASE_MS,
    maxTimeout: CAP_MS,
  });
  return async (sending) => {
    try {
      const { body } = await request(`${NOWHERE}${sending.path}${sending.search}`, {
        ...toInit(sending),
        dispatcher,
        headersTimeout: ATTEMPT_MS,
        bodyTimeout: ATTEMPT_MS,
        signal: AbortSignal.timeout(DEADLINE_MS),
      });
      await body.text();
    } catch {
      // undici reports only the last error; the cause is in the history.
    }
  };
}

function recordAttempts(
  parts: RecorderParts,
  process: string,
): Dispatcher.DispatcherComposeInterceptor {
  return (dispatch) => (options, handler) => {
    const { method, path, body } = options;
    // As this file gives them, with what a resumption adds.
    const headers = new Headers(options.headers as Record<string, string>);
    const bytes = new TextEncoder().encode(body as string);
    const { pathname, search } = new URL(path, NOWHERE);
    const outgoing = { method, pathname, search, headers, body: bytes };
    void openAttempt(parts, process, outgoing).then((attempt) => {
      const { origin } = attempt.way;
      const sent = {
        ...options,
        origin,
        path: `${attempt.pathname}${search}`,
        headers: Object.fromEntries(headers),
      };
      return dispatch(sent, recordEnding(attempt, handler));
    });
    return true;
  };
}

/** Hands everything on as it comes, so that undici meets what is sent partly as it would without the rig. */
function recordEnding(
  { answered, failed }: OpenAttempt,
  next: Dispatcher.DispatchHandler,
): Dispatcher.DispatchHandler {
  const chunks: Buffer[] = [];
  let head: Pick<Response, "status" | "headers"> | undefined;
  let isOver = false;
  return {
    onRequestStart: (...given) => next.onRequestStart?.(...given),
    onResponseStart(controller, status, headers, message) {
      head = { status, headers: new Headers(headers as Record<string, string>) };
      next.onResponseStart?.(controller, status, headers, message);
    },
    onResponseData(controller, chunk) {
      chunks.push(chunk);
      next.onResponseData?.(controller, chunk);
    },
    onResponseEnd(controller, trailers) {
      isOver = true;
      if (head !== undefined) answered(head, Buffer.concat(chunks).toString());
      next.onResponseEnd?.(controller, trailers);
    },
    onResponseError(controller, error) {
      // An answer that undici tries again is an error to it, once it has ended.
      if (!isOver) failed(error, isLate(error));
      isOver = true;
      next.onResponseError?.(controller, error);
    },
  };
}

function isLate(error: Error): boolean {
  const { name, code = "" } = error as NodeJS.ErrnoException;
  return name === "TimeoutError" || TIMEOUT_CODES.includes(code);
}
