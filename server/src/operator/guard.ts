/** Guards the page: its security headers, and the check that a form was sent by the page itself. */
import type { FastifyReply, FastifyRequest } from "fastify";

// Nothing inline and nothing from elsewhere. The referrer policy keeps keys in links away from other sites, and the origin in forms.
const HEADERS = {
  "content-security-policy":
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "x-robots-tag": "noindex",
  "cache-control": "no-store",
};

export function setSecurityHeaders(reply: FastifyReply): void {
  reply.headers(HEADERS);
}

/** Whether a form comes from a page of this origin. A request without any proof is refused: every browser sends one. */
export function isOwnForm({ headers, host }: FastifyRequest): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined) return site === "same-origin";
  const { origin } = headers;
  if (origin === undefined || !URL.canParse(origin)) return false;
  return new URL(origin).host === host;
}
