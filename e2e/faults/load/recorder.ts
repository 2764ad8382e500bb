/** A `fetch` that sends to one of the rig's servers and writes down what went out and what came back. */
import { createHash } from "node:crypto";
import type { Happening, History } from "../history/history.ts";
import type { Policy } from "../checker/case.ts";
import { FAULT_HEADER } from "../fault.ts";
import { FINGERPRINT_HEADER, OPERATION_HEADER, SCOPE_HEADER } from "../rig/order.ts";

/** Where a request goes, and what is done to it on its way. */
export interface Way {
  readonly server: string;
  readonly origin: string;
  /** Value of the fault header, where the way leads through the fault proxy. */
  readonly fault?: string;
}

export interface RecorderParts {
  readonly history: History;
  /** Chosen for each attempt. */
  readonly wayOf: () => Promise<Way>;
  readonly policyOf: (target: string) => Policy;
}

/** @param process who sends, for the history. */
export function createRecordedFetch(parts: RecorderParts, process: string): typeof fetch {
  const { history, wayOf, policyOf } = parts;
  return async (input, init) => {
    const request = new Request(input, init);
    const { pathname, search } = new URL(request.url);
    const body = new Uint8Array(await request.arrayBuffer());
    const headers = new Headers(request.headers);
    const way = await wayOf();
    const target = `${request.method} ${pathname}`;
    const operation = headers.get(OPERATION_HEADER) ?? "";
    const fingerprint = fingerprintOf(search, body);
    headers.set(FINGERPRINT_HEADER, fingerprint);
    if (way.fault !== undefined) headers.set(FAULT_HEADER, way.fault);
    const attempt = history.invoke({
      process,
      server: way.server,
      operation,
      scope: headers.get(SCOPE_HEADER) ?? "",
      key: headers.get("idempotency-key") ?? operation,
      target,
      fingerprint,
      ...(isHurt(way, body) ? { fault: way.fault ?? "the handler fails" } : {}),
    });
    try {
      const { method, signal } = request;
      const response = await fetch(`${way.origin}${pathname}${search}`, {
        method,
        headers,
        body,
        signal,
      });
      const text = await response.text();
      history.add({ attempt, ...endingOf(response, text, policyOf(target)) });
      return new Response(text, response);
    } catch (error) {
      const isLate = request.signal.aborted;
      history.add({ kind: "info", attempt, reason: reasonOf(error), isLate });
      throw error;
    }
  };
}

/** Digest of what makes two requests to one target different. */
export function fingerprintOf(search: string, body: Uint8Array): string {
  return createHash("sha256").update(search).update("\n").update(body).digest("hex").slice(0, 12);
}

// A handler that ignores what Postgres told it comes to 503 without any fault from outside.
function isHurt({ fault }: Way, body: Uint8Array): boolean {
  return fault !== undefined || Buffer.from(body).includes('"swallow"');
}

type Ending = Happening extends infer Event
  ? Event extends { readonly kind: "ok" | "fail" | "info" }
    ? Omit<Event, "attempt">
    : never
  : never;

const NOT_KEPT: readonly number[] = [401, 403, 408, 409, 425, 429];
const STORED_HEADERS = ["content-type", "location"];

/** What an answer means, by the contract and not by what a client makes of it. */
function endingOf(response: Response, body: string, policy: Policy): Ending {
  const { status, headers } = response;
  const problem = problemOf(headers, body);
  if (problem?.code === "idempotency_unavailable") {
    const { detail = "" } = problem;
    return { kind: "info", status, reason: detail, isLate: detail.endsWith("in time") };
  }
  const code = problem?.code;
  // The route is closed for good; that is an answer like any other.
  const isClosed = code === "idempotency_outcome_unknown";
  if (code !== undefined && !isClosed) return { kind: "fail", status, code };
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
}

function problemOf(headers: Headers, body: string): Problem | undefined {
  if (headers.get("content-type")?.startsWith("application/problem+json") !== true)
    return undefined;
  return JSON.parse(body) as Problem;
}

function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return cause instanceof Error ? cause.message : String(cause);
}
