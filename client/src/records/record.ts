/** An unfinished or remembered operation as it is written down before its first byte leaves. */
import { isKey } from "@oncekey/shared";
import { isMembers } from "../validation/is-object.ts";
import type { PreparedRequest } from "../wire/request.ts";

/** A request that was sent under a key. */
export interface Candidate {
  /** Hash of what makes it the same operation. */
  readonly identity: string;
  /** Missing from a settled record: a replay takes it from the input. */
  readonly request?: PreparedRequest | undefined;
}

/** Everything that sending the same request again needs, without the code that made it. */
export interface OperationRecord extends Candidate {
  readonly version: 1;
  /** The signed-in user who made it. */
  readonly owner?: string | undefined;
  readonly operation: string;
  readonly instance: string;
  readonly key: string;
  /** Other requests that were sent under this key. The server runs at most one of them all. */
  readonly held?: readonly Candidate[] | undefined;
  /** Milliseconds since 1970, by the clock of this machine. */
  readonly createdAt: number;
  /** Time until which the server recognises the key; `undefined` until the server has named it. */
  readonly expiresAt?: number | undefined;
  /** When it was settled; `undefined` while it is unresolved. */
  readonly settledAt?: number | undefined;
  /** Until when the same input is sent under this key again, for a replay. */
  readonly rememberedUntil?: number | undefined;
}

/** A record with the request that is to be sent at its head. */
export type SendableRecord = OperationRecord & { readonly request: PreparedRequest };

/** Returns all requests that were sent under the key of a record, the one at its head first. */
export function candidatesOf({ identity, request, held = [] }: OperationRecord): Candidate[] {
  return [{ identity, request }, ...held];
}

/** Returns the record with these requests, the first of them at its head. */
export function withCandidates(
  record: OperationRecord,
  [first, ...held]: readonly Candidate[],
): OperationRecord {
  return { ...record, ...first, held: held.length === 0 ? undefined : held };
}

/** Whether a request of this identity was sent under the key of a record. */
export function hasIdentity(record: OperationRecord, identity: string): boolean {
  return candidatesOf(record).some((candidate) => candidate.identity === identity);
}

/** Reads a record; `later`: a later release of this client wrote it. */
export function parseRecord(text: string): OperationRecord | "later" | undefined {
  try {
    const value = JSON.parse(text) as Partial<OperationRecord> | null;
    if (value === null) return undefined;
    if (typeof value.version === "number" && value.version > 1) return "later";
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the key in a later release's record, if it still has that name. */
export function keyInLaterRecord(text: string): string {
  const { key } = JSON.parse(text) as { readonly key?: unknown };
  return isKey(key) ? key : "";
}

function isRecord(value: Partial<OperationRecord>): value is OperationRecord {
  const { version, owner, operation, instance, key, held = [], createdAt } = value;
  const { expiresAt, settledAt, rememberedUntil } = value;
  return (
    version === 1 &&
    (owner === undefined || typeof owner === "string") &&
    typeof operation === "string" &&
    typeof instance === "string" &&
    isKey(key) &&
    typeof createdAt === "number" &&
    [expiresAt, settledAt, rememberedUntil].every(isMoment) &&
    Array.isArray(held) &&
    [value, ...(held as Partial<Candidate>[])].every((candidate) =>
      isCandidate(candidate, settledAt !== undefined),
    )
  );
}

function isMoment(value: unknown): boolean {
  return value === undefined || typeof value === "number";
}

function isCandidate({ identity, request }: Partial<Candidate>, isSettled: boolean): boolean {
  if (typeof identity !== "string") return false;
  return request === undefined ? isSettled : isMembers(request) && isRequest(request);
}

function isRequest(request: Partial<PreparedRequest>): boolean {
  const { method, url, headers, body, bytes, sealedBody } = request;
  return (
    (bytes === undefined || bytes === "base64" || bytes === "beside") &&
    typeof method === "string" &&
    typeof url === "string" &&
    isMembers(headers) &&
    (body === undefined || typeof body === "string") &&
    (sealedBody === undefined || sealedBody === null || typeof sealedBody === "string")
  );
}
