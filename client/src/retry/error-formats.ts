/** How services say what this contract says by its codes: one table. */
import { parseProblem } from "@oncekey/shared";
import type { ProblemCode } from "@oncekey/shared";
import { isMembers } from "../validation/is-object.ts";
import type { Members } from "../validation/is-object.ts";

/** What a refusal says, whoever's words it is in. */
export interface Refusal {
  /** None where it is not about the key, such as a conflict of the application. */
  readonly code: ProblemCode | undefined;
  readonly message: string;
  /** The problem document of the contract, or else the body. */
  readonly problem: unknown;
  readonly originalStatus: number | undefined;
  /** Whether it is a problem document of the contract, which names a time wherever it asks to wait. */
  readonly namesTime: boolean;
}

interface Dialect {
  readonly code: ProblemCode;
  readonly speaks: (body: Members, status: number) => boolean;
}

const DIALECTS: readonly Dialect[] = [
  // The problem documents of draft-ietf-httpapi-idempotency-key-header-07 §2.7. Its `type` is a page of the service's own, so
  // that the title is what they have in common.
  titled("idempotency_key_required", 400, "idempotency-key is missing"),
  titled("idempotency_conflict", 422, "idempotency-key is already used"),
  titled("idempotency_in_flight", 409, "a request is outstanding for this idempotency-key"),
  // Stripe's errors: https://docs.stripe.com/error-low-level
  inError("idempotency_in_flight", "code", "idempotency_key_in_use"),
  inError("idempotency_conflict", "type", "idempotency_error"),
];

/**
 * Reads a refusal from a parsed body: by its code, wherever there is one. The codes of the Agentic Commerce Protocol are this
 * contract's own.
 */
export function readRefusal(body: unknown, status: number): Refusal {
  const own = parseProblem(body);
  const message = messageIn(body) ?? own?.detail ?? `The server answered with status ${status}`;
  const members = isMembers(body) ? body : {};
  const dialect = DIALECTS.find(({ speaks }) => speaks(members, status));
  return {
    code: own?.code ?? dialect?.code,
    message,
    problem: own === undefined ? body : { ...own, status, detail: message },
    originalStatus: own?.originalStatus,
    namesTime: own !== undefined && "retryable" in members,
  };
}

/** What a body says in words, at its top or in its `error`. */
function messageIn(body: unknown): string | undefined {
  if (!isMembers(body)) return undefined;
  const { detail, message, title, error } = body;
  return [detail, message, title].find((text) => typeof text === "string") ?? messageIn(error);
}

function titled(code: ProblemCode, status: number, title: string): Dialect {
  return {
    code,
    speaks: (body, actual) => actual === status && String(body["title"]).toLowerCase() === title,
  };
}

function inError(code: ProblemCode, member: string, value: string): Dialect {
  return { code, speaks: ({ error }) => isMembers(error) && error[member] === value };
}
