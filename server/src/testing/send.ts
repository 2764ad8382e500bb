/** One request under one key, sent until its answer is final. */
import { setTimeout as sleep } from "node:timers/promises";
import { IDEMPOTENCY_KEY, IDEMPOTENT_REPLAYED, parseProblem } from "@oncekey/shared";
import { STORED_HEADERS } from "../options/stored-headers.ts";

/** A request to a protected route, without its key. */
export interface TestedRequest {
  /** With its slash: `/orders`. */
  readonly path: string;
  /** Default `POST`. */
  readonly method?: string;
  /** Such as credentials. Default: none. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. Default: no body. */
  readonly body?: unknown;
}

/** An answer that arrived whole. */
export interface Answer {
  readonly status: number;
  readonly isReplayed: boolean;
  /** Headers that are stored unless `storeHeaders` omits them, one after the other. */
  readonly headers: string;
  readonly body: string;
}

const PAUSE_MS = 250;
const RETRYABLE: ReadonlySet<number> = new Set([408, 409, 425, 429, 500, 502, 503, 504]);

/** One attempt. Rejects where no whole answer comes. */
export async function send(origin: string, request: TestedRequest, key: string): Promise<Answer> {
  const { path, method = "POST", headers = {}, body } = request;
  const response = await fetch(`${origin}${path}`, {
    method,
    headers: {
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
      [IDEMPOTENCY_KEY]: key,
    },
    body: body === undefined ? null : JSON.stringify(body),
    // A redirect is not followed: its target is another resource's answer, and nothing of it is
    // stored.
    redirect: "manual",
  });
  return {
    status: response.status,
    isReplayed: response.headers.get(IDEMPOTENT_REPLAYED) === "true",
    headers: STORED_HEADERS.flatMap((name) => response.headers.get(name) ?? []).join(" "),
    body: await response.text(),
  };
}

/** As a client does it that keeps its key. @throws Error where no answer is final within `patienceMs`. */
export async function sendUntilFinal(
  origin: string,
  request: TestedRequest,
  key: string,
  patienceMs: number,
): Promise<Answer> {
  const until = performance.now() + patienceMs;
  for (;;) {
    const answer = await send(origin, request, key);
    if (isFinal(answer)) return answer;
    if (performance.now() > until) {
      throw new Error(`${answer.status} is still the answer after ${patienceMs} ms`);
    }
    await sleep(PAUSE_MS);
  }
}

function isFinal({ status, isReplayed, body }: Answer): boolean {
  if (isReplayed) return true;
  const problem = parseProblem(readJson(body));
  return problem === undefined ? !RETRYABLE.has(status) : !problem.retryable;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
