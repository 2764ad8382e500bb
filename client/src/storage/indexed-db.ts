/** Storage in IndexedDB, for large bodies and for workers. */
import { openDB } from "idb";
import type { IDBPDatabase, IDBPObjectStore } from "idb";
import { checkOptions, isFilled } from "../validation/check.ts";
import type { OperationStorage } from "./storage.ts";

export interface IndexedDbStorageOptions {
  /** The name of the database, not empty. Default `'oncekey'`. It is for this alone: a database of something else is refused. */
  readonly name?: string | undefined;
}

const STORE = "operations";
type WritableStore = IDBPObjectStore<unknown, [typeof STORE], typeof STORE, "readwrite">;

/**
 * Keeps operations in IndexedDB: through reloads, crashes and closed tabs, for every tab of the origin, and for service workers
 * and other workers, which have no `localStorage`. It has room for large bodies. Where the browser refuses it (private mode,
 * blocked, full), the client goes on in memory and says so through `onWarning`.
 *
 * @throws TypeError that names a wrong option.
 */
export function indexedDbStorage(options: IndexedDbStorageOptions = {}): OperationStorage {
  checkOptions(options, { name: isFilled }, "");
  const { name = "oncekey" } = options;
  let connection: Promise<IDBPDatabase> | undefined;
  const forget = (): void => {
    connection = undefined;
  };

  // Opened at the first use and not before: importing or creating this must not touch what a page may not have.
  function connect(): Promise<IDBPDatabase> {
    connection ??= openDatabase(name, forget).catch((error: unknown) => {
      forget();
      throw error;
    });
    return connection;
  }

  async function use<Value>(call: (database: IDBPDatabase) => Promise<Value>): Promise<Value> {
    try {
      return await call(await connect());
    } catch (error) {
      if (!isDisconnected(error)) throw error;
      forget();
      return call(await connect());
    }
  }

  return {
    sharedAs: `indexedDB:${name}`,
    async getItem(item) {
      const value: unknown = await use((database) => database.get(STORE, item));
      return typeof value === "string" ? value : null;
    },
    addItem: (item, value) =>
      use((database) =>
        // In one transaction, and those that write take turns, in all tabs.
        write(database, async (store) => {
          if ((await store.getKey(item)) !== undefined) return false;
          await store.put(value, item);
          return true;
        }),
      ),
    setItem: (item, value) =>
      use((database) => write(database, async (store) => void (await store.put(value, item)))),
    setBytes: (item, bytes) =>
      use((database) => write(database, async (store) => void (await store.put(bytes, item)))),
    async getBytes(item) {
      const value: unknown = await use((database) => database.get(STORE, item));
      return value instanceof Blob || value instanceof Uint8Array
        ? (value as Blob | Uint8Array<ArrayBuffer>)
        : null;
    },
    removeItem: (item) => use((database) => write(database, (store) => store.delete(item))),
    getAllKeys: async () => (await use((database) => database.getAllKeys(STORE))).map(String),
  };
}

function openDatabase(name: string, forget: () => void): Promise<IDBPDatabase> {
  // Without a version: that of a later release stays as it is.
  return openDB(name, undefined, {
    upgrade: (database) => void database.createObjectStore(STORE),
    // Another tab deletes it, or a later release changes it: this connection would keep it waiting.
    blocking(_version, _wanted, { target }) {
      forget();
      (target as IDBDatabase).close();
    },
    terminated: forget,
  });
}

async function write<Value>(
  database: IDBPDatabase,
  change: (store: WritableStore) => Promise<Value>,
): Promise<Value> {
  // Write-ahead means on the disk, where the browser can tell.
  const transaction = database.transaction(STORE, "readwrite", { durability: "strict" });
  const [value] = await Promise.all([change(transaction.store), transaction.done]);
  return value;
}

// It was closed by another tab's wish, or the browser lost it (WebKit says UnknownError).
function isDisconnected(error: unknown): boolean {
  return error instanceof DOMException && /^(InvalidState|Unknown)Error$/.test(error.name);
}
