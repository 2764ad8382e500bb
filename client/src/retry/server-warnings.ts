/** Warnings about how an API is set up, with the header that is missing. */
import type { Answer } from "../wire/answer.ts";
import type { PreparedRequest } from "../wire/request.ts";
import type { Warn, Warning } from "../options/warnings.ts";

/** Advice for a header that the page cannot read. */
export const EXPOSE_IT = "the API must name it in Access-Control-Expose-Headers";

/** Describes a success without the echoed key. */
export function unacknowledged({ method, url }: PreparedRequest, { response }: Answer): Warning {
  const [target] = url.split("?");
  const why = response.type === "cors" ? EXPOSE_IT : "is the route protected?";
  const message = `${method} ${target} succeeded without echoing Idempotency-Key: ${why}`;
  return { code: "unacknowledged", message };
}

export function timeUnreadable({ url }: PreparedRequest): Warning {
  const message = `Retry-After of ${url} cannot be read: ${EXPOSE_IT}`;
  return { code: "retry_after_unreadable", message };
}

/** Warns that a request to another origin had no answer, for which a browser gives no reason. */
export function warnOfOrigin({ url, headers }: PreparedRequest, warn: Warn): void {
  const page = globalThis.location?.origin;
  const { origin } = new URL(url);
  if (page === undefined || page === origin) return;
  const names = ["Idempotency-Key", ...Object.keys(headers)].join(", ");
  const missing = `Access-Control-Allow-Headers: ${names}`;
  const message = `No answer from ${origin}: its preflight needs "${missing}" and what hooks add (CORS)`;
  warn({ code: "cross_origin_failed", message });
}
