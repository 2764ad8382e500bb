/** A `fetch` that sends to one of the rig's servers and writes down what went out and what came back. */
import { createHash } from "node:crypto";
import type { Happening, History } from "../history/history.ts";
import type { Policy } from "../checker/case.ts";
import { FAULT_HEADER } from "../../fault-proxy/fault.ts";
import { seedOf } from "../protocol/random.ts";
import { FINGERPRINT_HEADER, OPERATION_HEADER, SCOPE_HEADER } from "../../shop/effects.ts";
import { CHANCE_HEADER } from "../protocol/order.ts";

/** Route of a request, and the faults on it. */
export interface Way {
  readonly server: string;
  readonly origin: string;
  /** Value of the fault header, if the way leads through the fault proxy. */
  readonly fault?: string;
}

export interface RecorderParts {
  readonly history: History;
  /** Chosen for each attempt. */
  readonly wayOf: () => Promise<Way>;
  readonly policyOf: (target: string) => Policy;
}

/** A client's request, independent of the library that sends it. */
interface Outgoing {
  readonly method: string;
  readonly pathname: string;
  /** With its question mark. */
  readonly search: string;
  /** Headers, with those that the rig adds for its servers. */
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/** An attempt that is in the history and has not ended. */
export interface OpenAttempt {
  readonly way: Way;
  /** The spelling of its path in which it is sent. */
  readonly pathname: string;
  readonly answered: (response: Pick<Response, "status" | "headers">, body: string) => void;
  readonly failed: (error: unknown, isLate: boolean) => void;
}

/** @param process who sends, for the history. */
export function createRecordedFetch(parts: RecorderParts, process: string): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const { pathname, search } = new URL(request.url);
    const { method } = request;
    const headers = new Headers(request.headers);
    const body = new Uint8Array(await request.arrayBuffer());
    const outgoing = { method, pathname, search, headers, body };
    const { way, pathname: sent, answered, failed } = await openAttempt(parts, process, outgoing);
    try {
      const url = `${way.origin}${sent}${search}`;
      // A Request that nothing refers to is collected, and its signal no longer follows the caller's.
      const response = await fetch(url, { method, headers, body, signal: request.signal });
      const text = await response.text();
      answered(response, text);
      return new Response(text, response);
    } catch (error) {
      failed(error, request.signal.aborted);
      throw error;
    }
  };
}

/** Chooses its way and writes down that it begins. */
export async function openAttempt(
  { history, wayOf, policyOf }: RecorderParts,
  process: string,
  { method, pathname, search, headers, body }: Outgoing,
): Promise<OpenAttempt> {
  const target = `${method} ${pathname}`;
  const policy = policyOf(target);
  const way = await wayOf();
  const operation = headers.get(OPERATION_HEADER) ?? "";
  const scope = headers.get(SCOPE_HEADER) ?? "";
  const fingerprint = fingerprintOf(search, body);
  headers.set(FINGERPRINT_HEADER, fingerprint);
  if (way.fault !== undefined) headers.set(FAULT_HEADER, way.fault);
  const text = Buffer.from(body).toString();
  const fault = way.fault ?? hurtOf(headers, text);
  const attempt = history.invoke({
    process,
    server: way.server,
    operation,
    scope,
    key: headers.get("idempotency-key") ?? operation,
    target,
    fingerprint,
    ...(fault === undefined ? {} : { fault }),
    ...(HANGING.some((deed) => text.includes(deed)) ? { hangs: true } : {}),
  });
  const chance = seedOf(operation, scope, history.attemptsAt(operation, scope));
  headers.set(CHANCE_HEADER, String(chance));
  return {
    way,
    pathname: chance % 2 === 0 ? pathname : spelledOtherwise(pathname),
    answered: (response, answer) => history.add({ attempt, ...endingOf(response, answer, policy) }),
    failed: (error, isLate) =>
      history.add({ kind: "info", attempt, reason: reasonOf(error), isLate }),
  };
}

/** The same path with its last character percent-encoded. */
function spelledOtherwise(pathname: string): string {
  const code = pathname.charCodeAt(pathname.length - 1).toString(16);
  return `${pathname.slice(0, -1)}%${code}`;
}

/** Digest of what makes two requests to one target different. */
export function fingerprintOf(search: string, body: Uint8Array): string {
  return createHash("sha256").update(search).update("\n").update(body).digest("hex").slice(0, 12);
}

// Two attempts get no final answer without any fault from outside. A handler that ignores an error
// of Postgres leads to 503. A client that asks for the rest of a broken answer discards the whole
// one that it gets.
function hurtOf(headers: Headers, text: string): string | undefined {
  if (headers.has("range")) return "asks for the rest";
  return text.includes('"swallow"') ? "the handler fails" : undefined;
}

// Deeds of the handler that end in a timeout most of the time.
const HANGING = ['"hang"', '"stall"'];

type Ending = Happening extends infer Event
  ? Event extends { readonly kind: "ok" | "fail" | "info" }
    ? Omit<Event, "attempt">
    : never
  : never;

const NOT_KEPT: readonly number[] = [401, 403, 408, 409, 425, 429];
const STORED_HEADERS = ["content-type", "location"];

/** Interprets an answer by the contract, not by a client's conclusion. */
function endingOf(
  { status, headers }: Pick<Response, "status" | "headers">,
  body: string,
  policy: Policy,
): Ending {
  const problem = problemOf(headers, body);
  if (problem?.code === "idempotency_unavailable") {
    const { detail = "" } = problem;
    return { kind: "info", status, reason: detail, isLate: hasRunOut(detail) };
  }
  const code = problem?.code;
  // The route is closed for good; that is an answer like any other.
  const isClosed = code === "idempotency_outcome_unknown";
  // The handler ignored what Postgres refused: it has failed, and nothing of it was kept.
  if (code === "idempotency_writes_refused") return { kind: "fail", status };
  if (code !== undefined && !isClosed) {
    const { originalStatus } = problem ?? {};
    return {
      kind: "fail",
      status,
      code,
      ...(originalStatus === undefined ? {} : { originalStatus }),
    };
  }
  // Not from a server of ours: nothing follows from it.
  if (!headers.has("idempotency-key") && policy.isKeyless !== true)
    return { kind: "info", status, reason: "not acknowledged" };
  if (!isClosed && (NOT_KEPT.includes(status) || status >= 500)) return { kind: "fail", status };
  return {
    kind: "ok",
    status,
    isReplayed: headers.get("idempotent-replayed") === "true",
    isMismatch: headers.get("idempotency-mismatch") === "true",
    headers: headersText(headers),
    body,
  };
}

/** The headers that a record keeps of the rig's answers, one a line. */
export function headersText(headers: Headers): string {
  return STORED_HEADERS.map((name) => `${name}: ${headers.get(name) ?? ""}`).join("\n");
}

interface Problem {
  readonly code?: string;
  readonly detail?: string;
  readonly originalStatus?: number;
}

function problemOf(headers: Headers, body: string): Problem | undefined {
  if (headers.get("content-type")?.startsWith("application/problem+json") !== true)
    return undefined;
  return JSON.parse(body) as Problem;
}

// A handler that is bounded by `maxHandlerMs` hangs on purpose here, or has a busy machine.
// A scope that more clients use than its share has places waits for them.
function hasRunOut(detail: string): boolean {
  return (
    detail.endsWith("in time") ||
    detail.startsWith("The handler did not finish within") ||
    detail.startsWith("Other requests of the same scope")
  );
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
