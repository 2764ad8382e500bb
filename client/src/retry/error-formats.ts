/** Table of the codes and titles by which services refuse a key, and a pattern for unknown ones. */
import { isProblemCode } from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import { isMembers } from "../validation/is-object.ts";

/** A refusal of any service. */
export interface Refusal {
  /** `undefined` if the table does not have its code or title. */
  readonly code: ProblemCode | undefined;
  /** Whether the refusal is about a key, a duplicate or an operation in flight. */
  readonly isAboutKey: boolean;
  readonly message: string;
  readonly originalStatus: number | undefined;
  /** Whether this is a problem document of the contract, which names a time if the client has to wait. */
  readonly hasRetryTime: boolean;
}

/**
 * Codes, types and titles of known services, as `normalise` writes them. The codes of this contract are those of the Agentic Commerce
 * Protocol as well. The tests quote the sources.
 */
const ROWS: readonly (readonly [ProblemCode, ...string[]])[] = [
  [
    "idempotency_in_flight",
    "a request is outstanding for this idempotency key", // draft-ietf-httpapi-idempotency-key-header-07
    "idempotency key in use", // Stripe, @nestjs/idempotency
    "errorCode 704", // Adyen
    "previous request in progress", // PayPal
    "idempotency concurrent request", // Shopify
    "operation in progress", // Echo
  ],
  [
    "idempotency_conflict",
    "idempotency key is already used", // draft-07
    "idempotency error", // Stripe
    "idempotency key reused", // @nestjs/idempotency, Square, Echo
    "paypal request id previously used", // PayPal
    "idempotency key parameter mismatch", // Shopify
  ],
  // The outcome of the first request is unknown.
  [
    "idempotency_outcome_unknown",
    "idempotency key already used error", // Increase
    "duplicate request id", // PayPal
    "operation uncertain", // Echo, as the next three
    "operation abandoned",
    "operation disputed",
    "operation result unavailable",
  ],
  ["idempotency_key_required", "idempotency key is missing", "idempotency key required"],
];

const ABOUT_KEY =
  /idempoten|dedup|concurren|uncertain|replay|nonce|double (sub|sp|ch|cl)|duplicat(e|ed|ion) ?(\.|$|of|req|op|ord|pay|trans|cha|sub|key|call|mess|found|det)|(in|still) (flight|prog|proc|run)|being proc|already (be(en|ing) )?(proc|sub|rec|acc|han|run|exec|comp|paid|cha|cap|pl|in )|(request|operation|transaction|payment|order|key|token)[^.]{0,30}(already|outstanding|pending)|(this|same|the|your|that|another|provided|given|client) key|key (is |was )?(in use|re ?us|us|conf|mis|exp|exi)/;

/** Members whose text is a service's word for a refusal. All others are its data. */
const NAMING = /^(code|type|title|name|issue|reason|error|errorCode)$/;

/**
 * Reads a refusal from a parsed body: by its code, if it has one.
 *
 * @param isSuccess whether the status is 2xx, as in GraphQL: then only `errors` and `userErrors` count.
 */
export function readRefusal(body: unknown, status: number, isSuccess = false): Refusal {
  const members = isMembers(body) ? body : {};
  const { code, originalStatus, safe_new_key: isSafe } = members;
  const own = !isSuccess && isProblemCode(code) ? code : undefined;
  const texts = textsIn(body, "", !isSuccess);
  const row = ROWS.find(([, ...codes]) => codes.some((known) => texts.includes(known)));
  return {
    // Echo's own flag: a new key is safe.
    code: own ?? (isSafe === true ? undefined : row?.[0]),
    isAboutKey: isSafe !== true && texts.some((text) => ABOUT_KEY.test(text)),
    message: messageIn(body) ?? `The server answered with status ${status}`,
    originalStatus: typeof originalStatus === "number" ? originalStatus : undefined,
    hasRetryTime: own !== undefined && "retryable" in members,
  };
}

/** Collects the texts of a body: names of refusals as they are in the table, all others with a space before them. */
function textsIn(value: unknown, name: string, isError: boolean, depth = 0): string[] {
  if (typeof value === "string" && isError) {
    const text = normalise(value.slice(0, 500));
    if (!NAMING.test(name)) return [` ${text}`];
    // A number is a code in its own member alone.
    return [/^\d/.test(text) ? `${name} ${text}` : text];
  }
  // The lists of a success may be long, and are its data.
  const isData = !isError && (Array.isArray(value) || depth > 2);
  if (!isMembers(value) || isData || depth > 6) return [];
  return Object.entries(value).flatMap(([member, inner]) => {
    const isBelow = isError || /^(user)?errors$/i.test(member);
    return textsIn(inner, Array.isArray(value) ? name : member, isBelow, depth + 1);
  });
}

/** Writes `IDEMPOTENCY_KEY_IN_USE`, `idempotencyKeyInUse` and `Idempotency-Key in use` alike. */
function normalise(text: string): string {
  return text
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, " ");
}

/** Returns the message of a body, at its top or in its `error`. */
function messageIn(body: unknown): string | undefined {
  if (!isMembers(body)) return undefined;
  const { detail, message, title, error } = body;
  return [detail, message, title].find((text) => typeof text === "string") ?? messageIn(error);
}
