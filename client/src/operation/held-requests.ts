/** Several requests under one key, of which the server does one at the most: the content was changed while the outcome was unknown. */
import { EarlierOperationExistsError, isIdempotencyError } from "@oncekey/shared";
import type { AllErrorDetails, IdempotencyError } from "@oncekey/shared";
import { candidatesOf, withCandidates } from "../records/record-store.ts";
import type { Candidate, OperationRecord } from "../records/record-store.ts";

/** The record with the request of this identity at its head, if that was sent under its key. */
export function withFirst(record: OperationRecord, identity: string): OperationRecord | undefined {
  if (record.identity === identity) return record;
  const all = candidatesOf(record);
  const first = all.find((candidate) => candidate.identity === identity);
  return first && withCandidates(record, [first, ...all.filter((other) => other !== first)]);
}

/** The record with another request at its head, to be sent under the same key. */
export function withHeld(
  record: OperationRecord,
  { identity, request }: Candidate,
): OperationRecord {
  return withCandidates(record, [{ identity, request }, ...candidatesOf(record)]);
}

/**
 * The record with a body from the input in the place of one that is no longer at hand. That one stays behind it: where the server
 * has it, the key is its own.
 */
export function withInput(
  record: OperationRecord,
  { identity, request }: Candidate,
): OperationRecord {
  const lost = { identity, request: { ...record.request, sealedBody: "" } };
  const others = candidatesOf(record).filter((other) => other.identity !== identity);
  return withCandidates(record, [{ identity, request }, lost, ...others]);
}

/** What is left of a record after those requests are given up that another state of it had; `undefined` where that is nothing. */
export function leftWithout(
  record: OperationRecord,
  givenUp: OperationRecord,
): OperationRecord | undefined {
  const known = new Set(candidatesOf(givenUp).map(({ identity }) => identity));
  const left = candidatesOf(record).filter(({ identity }) => !known.has(identity));
  return left.length === 0 ? undefined : withCandidates(record, left);
}

/** What is left of a record after the request at its head was refused; `undefined` where that settles it. */
export function leftAfter(
  record: OperationRecord,
  error: IdempotencyError,
  isAcknowledged: boolean,
): OperationRecord | undefined {
  const [first, ...rest] = candidatesOf(record);
  if (first === undefined || rest.length === 0) return undefined;
  // The key belongs to one of the others.
  if (error.code === "idempotency_conflict") return withCandidates(record, rest);
  // Refused before the key was looked at, such as by a validation: that says nothing of the others.
  return isAcknowledged ? undefined : withCandidates(record, [...rest, first]);
}

/** The error of a request that gave way to an earlier one. */
export function givenWay(error: IdempotencyError): IdempotencyError {
  if (!isIdempotencyError(error, "idempotency_conflict")) return error;
  const message = "An earlier operation with other content exists under this key";
  const details: AllErrorDetails = error;
  return new EarlierOperationExistsError(message, { ...details, cause: error });
}
