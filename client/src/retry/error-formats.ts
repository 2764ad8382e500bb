/** The words in which services refuse a key: one table, and what to look for in words that it does not have. */
import { isProblemCode } from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import { isMembers } from "../validation/is-object.ts";

/** A refusal, in whatever words. */
export interface Refusal {
  /** `undefined` if the table does not have its words. */
  readonly code: ProblemCode | undefined;
  /** Whether it speaks of a key, a duplicate or an operation in flight. Without a code, nobody knows what it says of it. */
  readonly isAboutKey: boolean;
  readonly message: string;
  readonly originalStatus: number | undefined;
  /** Whether it is a problem document of the contract, which names a time if it asks to wait. */
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
  // What became of the first request they do not tell.
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
  /idempoten|dedup|concurren|uncertain|replay|nonce|double (sub|sp|ch|cl)|duplicat(e|ed|ion)? ?(\.|$|of|req|op|ord|pay|trans|cha|sub|key|call|mess|found|det)|(in|still) (flight|prog|proc|run)|being proc|already (be(en|ing) )?(proc|sub|rec|acc|han|run|exec|comp|paid|cha|cap|pl|in )|(request|operation|transaction|payment|order|key|token)[^.]{0,30}(already|outstanding|pending)|(this|same|the|your|that|another|provided|given|client) key|key (is |was )?(in use|re ?us|us|conf|mis|exp|exi)/;

/** Members whose text is a service's word for a refusal. All others are its data. */
const NAMING = /^(code|type|title|name|issue|reason|error|errorCode)$/;

/**
 * Reads a refusal from a parsed body: by its code, if it has one.
 *
 * @param isSuccess whether the status says so, as in GraphQL: then only its errors count.
 */
export function readRefusal(body: unknown, status: number, isSuccess = false): Refusal {
  const members = isMembers(body) ? body : {};
  const { code, originalStatus, safe_new_key: isSafe } = members;
  const own = !isSuccess && isProblemCode(code) ? code : undefined;
  const texts = textsIn(body, "", !isSuccess);
  const row = ROWS.find(([, ...codes]) => codes.some((known) => texts.includes(known)));
  return {
    // Echo says itself if a new key is safe.
    code: own ?? (isSafe === true ? undefined : row?.[0]),
    isAboutKey: isSafe !== true && texts.some((text) => ABOUT_KEY.test(text)),
    message: messageIn(body) ?? `The server answered with status ${status}`,
    originalStatus: typeof originalStatus === "number" ? originalStatus : undefined,
    hasRetryTime: own !== undefined && "retryable" in members,
  };
}

/** Collects what a body says in words: names of refusals as they are in the table, other texts with a space before them. */
function textsIn(value: unknown, name: string, isError: boolean, depth = 0): string[] {
  if (typeof value === "string") {
    const text = normalise(value.slice(0, 500));
    if (!isError) return [];
    if (!NAMING.test(name)) return [` ${text}`];
    // A number is a code in its own member alone.
    return [/^\d/.test(text) ? `${name} ${text}` : text];
  }
  if (!isMembers(value) || depth > 6) return [];
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

/** What a body says in words, at its top or in its `error`. */
function messageIn(body: unknown): string | undefined {
  if (!isMembers(body)) return undefined;
  const { detail, message, title, error } = body;
  return [detail, message, title].find((text) => typeof text === "string") ?? messageIn(error);
}
