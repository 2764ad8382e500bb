/** Warnings about how an API is set up, with the header that is missing. */
import type { Loop } from "./loop-state.ts";
import type { Answer } from "../wire/answer.ts";

/** Advice for a header that the page cannot read. */
export const EXPOSE_IT = "the API must name it in Access-Control-Expose-Headers";

/** Warns of a success without the echoed key, and returns the message. */
export function warnOfEcho({ request, warn }: Loop, { response }: Answer): string {
  const [target] = request.url.split("?");
  const why = response.type === "cors" ? EXPOSE_IT : "is the route protected?";
  const message = `${request.method} ${target} succeeded without echoing Idempotency-Key: ${why}`;
  warn({ code: "unacknowledged", message });
  return message;
}

export function warnOfTime({ request, warn }: Loop): void {
  const message = `Retry-After of ${request.url} cannot be read: ${EXPOSE_IT}`;
  warn({ code: "retry_after_unreadable", message });
}

/** Warns that a request to another origin had no answer, for which a browser gives no reason. */
export function warnOfOrigin({ request, warn }: Loop): void {
  const page = globalThis.location?.origin;
  const { origin } = new URL(request.url);
  if (page === undefined || page === origin) return;
  const names = ["Idempotency-Key", ...Object.keys(request.headers)].join(", ");
  const message = `No answer from ${origin}: its preflight needs "Access-Control-Allow-Headers: ${names}" and what hooks add (CORS)`;
  warn({ code: "cross_origin_failed", message });
}
