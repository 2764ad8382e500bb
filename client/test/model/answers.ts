/** Answers as they come over the wire: of the shop, and of gateways that know nothing of keys. */

/** Retention of a stored response, in ms. */
export const RETENTION_MS = 24 * 3_600_000;

/** Statuses that gateways, proxies, frameworks and other releases answer. */
export const GATEWAY_STATUSES = [
  400, 402, 403, 404, 405, 407, 409, 410, 413, 414, 422, 423, 425, 426, 429, 431, 451, 501,
] as const;

/**
 * `page`: HTML. `json`: JSON without a code. `wait`: JSON with `Retry-After`. `words`: JSON about a duplicate, in a wording that is in
 * no table.
 */
export const GATEWAY_FORMS = ["page", "text", "json", "wait", "words"] as const;

/** A request that a gateway refuses: it does not arrive. */
export type GatewayFault = `${(typeof GATEWAY_STATUSES)[number]} ${(typeof GATEWAY_FORMS)[number]}`;

/** @param mayDecline whether JSON with 402 or 422 may come from a gateway. */
export function byGateway(fault: string, mayDecline: boolean): Response | undefined {
  const [, digits, form] = /^(\d+) (\w+)$/.exec(fault) ?? [];
  if (digits === undefined) return undefined;
  const status = Number(digits);
  const isDecline = status === 402 || status === 422;
  if (form === "page" || (isDecline && !mayDecline)) return page(status);
  if (form === "text") return text(status, "refused");
  if (form === "words") return json(status, { error: "Duplicate payment: one is being handled" });
  return json(status, { error: "refused" }, form === "wait" ? { "retry-after": "1" } : {});
}

export function page(status: number): Response {
  return answer(status, "text/html", "<!doctype html><p>Welcome</p>");
}

export function text(status: number, body: string): Response {
  return answer(status, "text/plain", body);
}

export function json(
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return answer(status, "application/json", JSON.stringify(body), headers);
}

export function problem(
  status: number,
  code: string,
  key: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return json(status, { code, status, title: code, detail: code }, { ...echo(key), ...headers });
}

/** Returns the headers that the contract adds to every answer. */
export function echo(key: string): Record<string, string> {
  return { "idempotency-key": key, "idempotency-key-lifetime": String(RETENTION_MS / 1000) };
}

/** Marks a response as the end of a redirect, as `fetch` does. */
export function redirected(response: Response): Response {
  return mark(response, { redirected: true, url: "https://shop.example/login" });
}

/** Ends the body of a response before it is whole. */
export function cutOff(response: Response): Response {
  response.text = () => Promise.reject(new TypeError("terminated"));
  response.arrayBuffer = () => Promise.reject(new TypeError("terminated"));
  return mark(response, { clone: () => response });
}

function mark(response: Response, members: Readonly<Record<string, unknown>>): Response {
  for (const [name, value] of Object.entries(members))
    Object.defineProperty(response, name, { value, configurable: true });
  return response;
}

function answer(
  status: number,
  type: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(body, { status, headers: { "content-type": type, ...headers } });
}
