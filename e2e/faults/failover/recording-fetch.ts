/** A `fetch` that writes each attempt into the history: what left, and what came back. */
import type { Happening, History } from "../history/history.ts";

/** Who sends, and to which server, as the history names them. */
export interface Route {
  readonly process: string;
  readonly server: string;
}

/** The body of every request. */
export interface Order {
  readonly operation: string;
  /** What makes this request another than one with the same key. */
  readonly fingerprint: string;
}

export function recordingFetch(history: History, route: Route): typeof fetch {
  return async (input, init) => {
    const request = new Request(input, init);
    const { operation, fingerprint } = (await request.clone().json()) as Order;
    const attempt = history.invoke({
      ...route,
      operation,
      fingerprint,
      scope: request.headers.get("scope") ?? "",
      key: request.headers.get("idempotency-key") ?? "",
      target: `${request.method} ${new URL(request.url).pathname}`,
    });
    try {
      const response = await fetch(request);
      history.add(read(attempt, response, await response.clone().text()));
      return response;
    } catch (error) {
      history.add({ kind: "info", attempt, reason: String(error) });
      throw error;
    }
  };
}

function read(attempt: number, { status, headers }: Response, body: string): Happening {
  if (status >= 200 && status < 300) {
    return {
      kind: "ok",
      attempt,
      status,
      isReplayed: headers.get("idempotent-replayed") === "true",
      isMismatch: headers.get("idempotency-mismatch") === "true",
      headers: `content-type: ${headers.get("content-type")}`,
      body,
    };
  }
  const code = codeIn(body);
  // Unavailable is also said of a commit that nobody has answered: it leaves open what happened.
  if (code === undefined || status >= 500) {
    return { kind: "info", attempt, status, reason: code ?? body.slice(0, 200) };
  }
  return { kind: "fail", attempt, status, code };
}

function codeIn(body: string): string | undefined {
  try {
    const { code } = JSON.parse(body) as { readonly code?: unknown };
    return typeof code === "string" ? code : undefined;
  } catch {
    return undefined;
  }
}
