/** The records of a client in its storage: one handle for each that is in use. */
import type { Warn } from "../options/warnings.ts";
import type { OperationStorage } from "../storage/storage.ts";
import { byteNamesOf } from "./body-codec.ts";
import type { BodyCodec } from "./body-codec.ts";
import type { RecordNames } from "./record-names.ts";
import { candidatesOf, keyInLaterRecord, parseRecord, withCandidates } from "./record.ts";
import type { OperationRecord } from "./record.ts";
import { createSafeStorage } from "./safe-storage.ts";

/** The place of one record. Changes compare the key and return `false` if another operation has the place. */
export interface RecordHandle {
  /** The record as this handle read or wrote it last. */
  readonly record: OperationRecord | undefined;
  /** The key of a later release's record, which is not this release's to change; may be empty. */
  readonly laterKey: string | undefined;
  readonly replace: (next: OperationRecord) => Promise<boolean>;
  readonly remove: () => Promise<boolean>;
}

/** Reads and writes records. Never throws: a storage that fails is replaced by memory, with a warning. */
export interface RecordStore {
  readonly open: (id: string) => Promise<RecordHandle>;
  /** Lists the records whose names begin with this, with bodies as they are stored. */
  readonly list: (prefix: string) => Promise<OperationRecord[]>;
  /** Removes everything whose name begins with this, later releases' records included. */
  readonly removeAll: (prefix: string) => Promise<void>;
}

/** Mark, API, owner, and operation with instance. */
const PARTS = 4;

export function createRecordStore(
  storage: OperationStorage,
  names: RecordNames,
  codec: BodyCodec,
  warn: Warn,
): RecordStore {
  const safe = createSafeStorage(storage, warn);
  // Records as this page wrote them, with the bodies that the storage may not have.
  const written = new Map<string, OperationRecord>();
  const warned = new Set<string>();

  function parse(id: string, text: string | null): OperationRecord | "later" | undefined {
    if (text === null) return undefined;
    const record = parseRecord(text);
    if (record === "later") {
      warnOnce(id, "was written by a later version");
      return record;
    }
    const { owner, operation = "", instance = "" } = record ?? {};
    if (record !== undefined && names.nameOf(owner, operation, instance) === id) return record;
    warnOnce(id, "is not readable");
    const own = safe.own(id);
    return own === null || own === text ? undefined : parse(id, own);
  }

  function warnOnce(id: string, why: string): void {
    if (warned.has(id)) return;
    warned.add(id);
    warn({ code: "storage_entry_ignored", message: `The entry ${id} of the storage ${why}` });
  }

  async function removeBytes(before: readonly string[], after: readonly string[]): Promise<void> {
    const over = before.filter((name) => !after.includes(name));
    if (safe.keepsBytes) await Promise.all(over.map((name) => safe.removeBytes(name)));
  }

  async function open(id: string): Promise<RecordHandle> {
    let seen = await safe.get(id);
    const parsed = parse(id, seen);
    const laterKey = parsed === "later" && seen !== null ? keyInLaterRecord(seen) : undefined;
    let record =
      parsed === "later" || parsed === undefined
        ? undefined
        : await codec.open(parsed, { id, storage: safe }, written.get(id));

    async function swap(text: string | null): Promise<boolean> {
      if (laterKey !== undefined) return false;
      if (await safe.swap(id, seen, text)) return true;
      // Another tab changed the entry. The operation is the same if the key is.
      const current = await safe.get(id);
      const other = parse(id, current);
      if (record === undefined || typeof other !== "object" || other.key !== record.key) {
        return false;
      }
      seen = current;
      return safe.swap(id, seen, text);
    }

    return {
      get record() {
        return record;
      },
      laterKey,
      async replace(next) {
        // Sealing takes its time: only then is the place compared and written, in one tick.
        const before = byteNamesOf(record, id);
        const text = JSON.stringify(await codec.seal(next, id, safe));
        if (!(await swap(text))) return false;
        await removeBytes(before, byteNamesOf(next, id));
        written.set(id, next);
        seen = text;
        record = next;
        return true;
      },
      async remove() {
        if (!(await swap(null))) return false;
        await removeBytes(byteNamesOf(record, id), []);
        written.delete(id);
        seen = null;
        record = undefined;
        return true;
      },
    };
  }

  return {
    open,
    async list(prefix) {
      // Bytes have names of their own, below those of their records.
      const ids = (await safe.names(prefix)).filter((id) => id.split(":").length === PARTS);
      const records = await Promise.all(ids.map(async (id) => parse(id, await safe.get(id))));
      return records.filter((record) => typeof record === "object");
    },
    async removeAll(prefix) {
      const ids = await safe.names(prefix);
      await Promise.all(
        ids.map(async (id) => {
          written.delete(id);
          await safe.swap(id, await safe.get(id), null);
        }),
      );
    },
  };
}

/** Returns the record without the bodies of its requests: nothing is sent under its key any more. */
export function withoutBodies(record: OperationRecord): OperationRecord {
  const bare = candidatesOf(record).map(({ identity, request }) => {
    if (request === undefined || (request.body === undefined && !request.sealedBody)) {
      return { identity, request };
    }
    const { bytes: _bytes, ...rest } = request;
    return { identity, request: { ...rest, body: undefined, sealedBody: null } };
  });
  return withCandidates(record, bare);
}
