/** Several requests under one key, of which the server runs at most one: the input changed while the outcome was unknown. */
import { EarlierOperationExistsError, IdempotencyError, isIdempotencyError } from "@oncekey/shared";
import type { AllErrorDetails } from "@oncekey/shared";
import { candidatesOf, withCandidates } from "../records/record.ts";
import type { OperationRecord, SendableRecord } from "../records/record.ts";
import type { CodedError, Settled } from "./result.ts";
import { isDone, isRefused, OTHER_CONTENT } from "../retry/classify.ts";
import type { PreparedRequest } from "../wire/request.ts";

/** Returns the record with the request of this identity at its head, if that was sent under its key. */
export function moveToFront(
  record: OperationRecord,
  identity: string,
): OperationRecord | undefined {
  if (record.identity === identity) return record;
  const all = candidatesOf(record);
  const first = all.find((candidate) => candidate.identity === identity);
  return first && withCandidates(record, [first, ...all.filter((other) => other !== first)]);
}

/** Returns the record with another request at its head, to be sent under the same key. */
export function addRequest(
  record: OperationRecord,
  identity: string,
  request: PreparedRequest,
): OperationRecord {
  return withCandidates(record, [{ identity, request }, ...candidatesOf(record)]);
}

/** Returns a settled record with the request of the input at its head, to be replayed. */
export function withRequest(
  record: OperationRecord,
  identity: string,
  request: PreparedRequest,
): SendableRecord {
  const others = candidatesOf(record).filter((other) => other.identity !== identity);
  return { ...withCandidates(record, [{ identity, request }, ...others]), request };
}

/**
 * Returns the record with the body of the input in place of one that is not stored. The lost request stays second in the list: if
 * the server has already run it, the key belongs to it.
 */
export function withInput(
  record: OperationRecord,
  identity: string,
  request: PreparedRequest,
): OperationRecord {
  const lost = { identity, request: record.request && { ...record.request, sealedBody: "" } };
  const others = candidatesOf(record).filter((other) => other.identity !== identity);
  return withCandidates(record, [{ identity, request }, lost, ...others]);
}

/** Returns what is left of a record without the requests of another state of it; `undefined` if that is nothing. */
export function without(
  record: OperationRecord,
  givenUp: OperationRecord,
): OperationRecord | undefined {
  const known = new Set(candidatesOf(givenUp).map(({ identity }) => identity));
  const left = candidatesOf(record).filter(({ identity }) => !known.has(identity));
  return left.length === 0 ? undefined : withCandidates(record, left);
}

/** Returns what is left of a record after the request at its head was refused; `undefined` if that settles it. */
export function afterRejection(
  record: OperationRecord,
  error: IdempotencyError,
  isAcknowledged: boolean,
): OperationRecord | undefined {
  const [first, ...rest] = candidatesOf(record);
  if (first === undefined || rest.length === 0) return undefined;
  // The key belongs to one of the others.
  if (error.code === "idempotency_conflict") return withCandidates(record, rest);
  // A validation refuses before it looks at the key, so the outcome of the others stays unknown.
  return isAcknowledged ? undefined : withCandidates(record, [...rest, first]);
}

/** Returns how the earlier operation ended, if the server replayed its response to the request that came after it. */
export function earlierResultIn(error: IdempotencyError, key: string): Settled | undefined {
  if (!isIdempotencyError(error, "idempotency_conflict")) return undefined;
  const { original } = error;
  if (original === undefined) return undefined;
  const { status, body: value, ...rest } = original;
  if (isDone(status))
    return { kind: "done", value, ...rest, replayed: true, status, key, attempts: 0 };
  if (!isRefused(status)) return undefined;
  const message = `The server refused the earlier operation with status ${status}`;
  const refusal = new IdempotencyError(message, undefined, { key, status, problem: value });
  return { kind: "rejected", error: refusal as CodedError, key, attempts: 0 };
}

/** Returns the error of a request that came after an earlier operation. */
export function earlierExistsError(error: IdempotencyError): CodedError {
  if (!isIdempotencyError(error, "idempotency_conflict")) return error as CodedError;
  const details: AllErrorDetails = error;
  return new EarlierOperationExistsError(OTHER_CONTENT, { ...details, cause: error });
}
