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
  /** Lists everything whose name begins with this, with bodies as they are stored. */
  readonly list: (prefix: string) => Promise<Listed[]>;
  /** Removes the bytes of a page that ended before it wrote the record `id`. Needs the turn of its instance. */
  readonly removeStray: (id: string) => Promise<void>;
  /** Removes everything whose name begins with this, later releases' records included. */
  readonly removeAll: (prefix: string) => Promise<void>;
}

/** The entries of one instance in the storage. */
export interface Listed {
  readonly id: string;
  readonly record: OperationRecord | undefined;
  /** Whether there are bytes that the record does not name. */
  readonly isStray: boolean;
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
  const written = new Map<string, { readonly text: string; readonly record: OperationRecord }>();

  function parse(id: string, text: string | null): OperationRecord | "later" | undefined {
    if (text === null) return undefined;
    const record = parseRecord(text);
    if (record === "later") {
      warnOf(id, "was written by a later version");
      return record;
    }
    const { owner, operation = "", instance = "" } = record ?? {};
    if (record !== undefined && names.nameOf(owner, operation, instance) === id) return record;
    warnOf(id, "is not readable");
    const own = safe.own(id);
    return own === null || own === text ? undefined : parse(id, own);
  }

  function warnOf(id: string, why: string): void {
    warn({ code: "storage_entry_ignored", message: `The entry ${id} of the storage ${why}` });
  }

  async function removeBytes(before: readonly string[], after: readonly string[]): Promise<void> {
    const over = before.filter((name) => !after.includes(name));
    if (safe.keepsBytes) await Promise.all(over.map((name) => safe.removeBytes(name)));
  }

  async function removeStray(id: string): Promise<void> {
    if (!safe.keepsBytes) return;
    const record = parse(id, await safe.get(id));
    // This release cannot read where a later release keeps its bytes.
    if (record === "later") return;
    await removeBytes(await safe.names(`${id}:`), byteNamesOf(record, id));
  }

  async function open(id: string): Promise<RecordHandle> {
    let seen = await safe.get(id);
    const own = written.get(id);
    // Nothing to decode: this page wrote it last.
    const isOwn = own !== undefined && own.text === seen;
    const parsed = isOwn ? undefined : parse(id, seen);
    const laterKey = parsed === "later" && seen !== null ? keyInLaterRecord(seen) : undefined;
    let record =
      typeof parsed === "object"
        ? await codec.open(parsed, { id, storage: safe }, own?.record)
        : isOwn
          ? own.record
          : undefined;

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
        if (!(await swap(text))) {
          // Bytes go first, so that a record never lacks them: these have no record.
          await removeStray(id);
          return false;
        }
        await removeBytes(before, byteNamesOf(next, id));
        written.set(id, { text, record: next });
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
      const entries = await safe.names(prefix);
      const ids = new Set(entries.map((name) => name.split(":").slice(0, PARTS).join(":")));
      const all = [...ids].map(async (id) => {
        const found = parse(id, await safe.get(id));
        const record = typeof found === "object" ? found : undefined;
        const used = byteNamesOf(record, id);
        const isOwn = (name: string): boolean => name === id || used.includes(name);
        const isStray =
          found !== "later" && entries.some((name) => name.startsWith(id) && !isOwn(name));
        return { id, record, isStray };
      });
      return Promise.all(all);
    },
    removeStray,
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
