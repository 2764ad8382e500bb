/** Warnings about how an API is set up, with the header that is missing. */
import type { Answer } from "../wire/answer.ts";
import type { PreparedRequest } from "../wire/request.ts";
import type { Warn, Warning } from "../options/warnings.ts";

/** A success without the echoed key. */
export function unacknowledged({ method, url }: PreparedRequest, { response }: Answer): Warning {
  const [target] = url.split("?");
  const isHidden = response.type === "cors";
  const why = isHidden ? expose("Idempotency-Key") : "is the route protected?";
  const message = `${method} ${target} succeeded without echoing Idempotency-Key: ${why}`;
  return { code: "unacknowledged", message };
}

export function timeUnreadable({ url }: PreparedRequest): Warning {
  const message = `Retry-After of ${url} cannot be read: ${expose("Retry-After")}`;
  return { code: "retry_after_unreadable", message };
}

/** Warns that a request to another origin had no answer, for which a browser gives no reason. */
export function warnOfOrigin({ url, headers }: PreparedRequest, warn: Warn): void {
  const page = globalThis.location?.origin;
  const { origin } = new URL(url);
  if (page === undefined || page === origin) return;
  const names = ["Idempotency-Key", ...Object.keys(headers)].join(", ");
  const missing = `Access-Control-Allow-Headers: ${names}`;
  const message = `No answer from ${origin}: if the console speaks of CORS, its preflight needs "${missing}" and what hooks add`;
  warn({ code: "cross_origin_failed", message });
}

function expose(name: string): string {
  return `add "Access-Control-Expose-Headers: ${name}" to the answers of the API`;
}
