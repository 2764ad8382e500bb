/** An unfinished operation as it is written down before its first byte leaves, and the shelf it is written to. */
import { isKey } from "@oncekey/shared";
import type { PreparedRequest } from "../wire/request.ts";
import { withinLimit } from "../wire/timeout.ts";
import { isMembers } from "../validation/is-object.ts";
import type { BodyKeeper } from "./body-codec.ts";
import type { OperationStorage } from "../storage/storage.ts";
import type { Warn } from "../options/warnings.ts";

/** A request as it was sent under a key. */
export interface Candidate {
  /** What makes it the same operation, as canonical JSON. */
  readonly identity: string;
  readonly request: PreparedRequest;
}

/** Everything that sending the same request again needs, without the code that made it. */
export interface OperationRecord extends Candidate {
  readonly version: 1;
  readonly operation: string;
  readonly instance: string;
  readonly key: string;
  /** Other requests that were sent under this key: at most one of them all was done. */
  readonly held?: readonly Candidate[] | undefined;
  /** Milliseconds since 1970, by the clock of this machine. */
  readonly createdAt: number;
  /** Until when the server has said that it recognises the key; `undefined` until it has said so. */
  readonly expiresAt?: number | undefined;
  /** When it was settled, where it is left for another tab that waited for it; `undefined` while it is not. */
  readonly settledAt?: number | undefined;
}

/** Reads and writes records. Never throws: a storage that fails is replaced by memory, with a warning. */
export interface Shelf {
  read(id: string): Promise<OperationRecord | undefined>;
  write(record: OperationRecord): Promise<void>;
  /** Writes it, unless another context has written one of the same instance meanwhile: then that one counts, and it is `false`. */
  claim(record: OperationRecord): Promise<boolean>;
  remove(id: string): Promise<void>;
  list(): Promise<OperationRecord[]>;
}

const PREFIX = "oncekey:1:";

/** Longer than a disk takes, shorter than a customer waits. */
const STORAGE_WAIT_MS = 3_000;

/** The name of an operation's one live instance. */
export function recordId({
  operation,
  instance,
}: Pick<OperationRecord, "operation" | "instance">): string {
  return `${PREFIX}${encodeURIComponent(operation)}:${encodeURIComponent(instance)}`;
}

/** All requests that were sent under the key of a record. */
export function candidatesOf({ identity, request, held = [] }: OperationRecord): Candidate[] {
  return [{ identity, request }, ...held];
}

/** The record with these requests, the first of them at its head. */
export function withCandidates(
  record: OperationRecord,
  [first, ...held]: readonly Candidate[],
): OperationRecord {
  return { ...record, ...first, held: held.length === 0 ? undefined : held };
}

export function createShelf(storage: OperationStorage, keeper: BodyKeeper, warn: Warn): Shelf {
  // What this page wrote, or removed (null): the answer where the storage gives none to read, and before it where it refused the
  // change.
  const memory = new Map<string, OperationRecord | null>();
  const refused = new Set<string>();
  // What a later version of this client wrote is not ours to change.
  const later = new Set<string>();
  const warned = new Set<string>();
  let isFailing = false;

  async function attempt<Value, Otherwise>(
    use: () => Value | Promise<Value>,
    otherwise: Otherwise,
  ): Promise<Value | Otherwise> {
    try {
      return await inTime(use());
    } catch (cause) {
      const message = "The storage failed; operations do not survive a reload";
      if (!isFailing) warn({ code: "storage_failed", message, cause });
      isFailing = true;
      return otherwise;
    }
  }

  async function read(id: string): Promise<OperationRecord | undefined> {
    const text = refused.has(id) ? undefined : await attempt(() => storage.getItem(id), undefined);
    if (text === undefined) return memory.get(id) ?? undefined;
    if (text === null) {
      later.delete(id);
      return undefined;
    }
    const record = parseRecord(text);
    const isOurs = record !== "later" && record !== undefined && recordId(record) === id;
    if (record === "later") later.add(id);
    else later.delete(id);
    if (isOurs) return reveal(id, record);
    warnOnce(id, record === "later" ? "was written by a later version" : "is not readable");
    return memory.get(id) ?? undefined;
  }

  async function reveal(id: string, record: OperationRecord): Promise<OperationRecord> {
    const known = memory.get(id);
    const own = known?.key === record.key ? candidatesOf(known) : [];
    const revealed = candidatesOf(record).map(async (candidate) => {
      const identity = keeper.identify(candidate.identity);
      const request = await keeper.reveal(candidate.request);
      // This page has the body that the storage has not.
      const mine = request.sealedBody === null && own.find((one) => one.identity === identity);
      return { identity, request: mine ? mine.request : request };
    });
    return withCandidates(record, await Promise.all(revealed));
  }

  function warnOnce(id: string, why: string): void {
    if (warned.has(id)) return;
    warned.add(id);
    warn({ code: "storage_entry_ignored", message: `The entry ${id} of the storage ${why}` });
  }

  async function change(id: string, make: () => void | Promise<void>): Promise<boolean> {
    if (later.has(id)) return false;
    const isMade = await attempt(async () => {
      await make();
      return true;
    }, false);
    if (isMade) refused.delete(id);
    else refused.add(id);
    isFailing = !isMade;
    return isMade;
  }

  async function textOf(record: OperationRecord): Promise<string> {
    const hidden = candidatesOf(record).map(async ({ identity, request }) => {
      return { identity, request: await keeper.hide(request) };
    });
    return JSON.stringify(withCandidates(record, await Promise.all(hidden)));
  }

  async function write(record: OperationRecord): Promise<void> {
    const id = recordId(record);
    memory.set(id, record);
    await change(id, async () => storage.setItem(id, await textOf(record)));
  }

  return {
    read,
    write,
    async claim(record) {
      const id = recordId(record);
      let isTaken = true;
      if (storage.addItem) {
        await change(id, async () => {
          isTaken = !(await storage.addItem?.(id, await textOf(record)));
        });
        // What cannot be read keeps nobody's place.
        if (isTaken && (await read(id))) return false;
      }
      if (isTaken) await write(record);
      else memory.set(id, record);
      return true;
    },
    async remove(id) {
      memory.set(id, null);
      if (await change(id, () => storage.removeItem(id))) memory.delete(id);
    },
    async list() {
      const names = await attempt(() => storage.getAllKeys(), []);
      const ids = new Set([...names, ...memory.keys()].filter((name) => name.startsWith(PREFIX)));
      const records = await Promise.all([...ids].map(read));
      return records.filter((record) => record !== undefined);
    },
  };
}

// A database that another tab keeps shut gives no answer at all, and no error.
function inTime<Value>(answer: Value | Promise<Value>): Value | Promise<Value> {
  if (!(answer instanceof Promise)) return answer;
  return withinLimit({ timeoutMs: STORAGE_WAIT_MS, signal: undefined }, () => answer);
}

function parseRecord(text: string): OperationRecord | "later" | undefined {
  try {
    const value = JSON.parse(text) as Partial<OperationRecord> | null;
    if (value === null) return undefined;
    if (typeof value.version === "number" && value.version > 1) return "later";
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isRecord(value: Partial<OperationRecord>): value is OperationRecord {
  const { version, operation, instance, key, held = [], createdAt, expiresAt, settledAt } = value;
  return (
    version === 1 &&
    typeof operation === "string" &&
    typeof instance === "string" &&
    isKey(key) &&
    typeof createdAt === "number" &&
    (expiresAt === undefined || typeof expiresAt === "number") &&
    (settledAt === undefined || typeof settledAt === "number") &&
    Array.isArray(held) &&
    [value, ...(held as Partial<Candidate>[])].every(isCandidate)
  );
}

function isCandidate({ identity, request }: Partial<Candidate>): boolean {
  return typeof identity === "string" && isMembers(request) && isRequest(request);
}

function isRequest(request: Partial<PreparedRequest>): boolean {
  const { method, url, headers, body, isBase64, sealedBody } = request;
  return (
    (isBase64 === undefined || isBase64) &&
    typeof method === "string" &&
    typeof url === "string" &&
    isMembers(headers) &&
    (body === undefined || typeof body === "string") &&
    (sealedBody === undefined || sealedBody === null || typeof sealedBody === "string")
  );
}
