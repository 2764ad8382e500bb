/** Storage in IndexedDB, for large bodies and for workers. */
import { checkOptions, isFilled } from "../validation/check.ts";
import type { OperationStorage } from "./storage.ts";

export interface IndexedDbStorageOptions {
  /**
   * Name of the database, not empty. The storage refuses a database that has other stores.
   *
   * @default 'oncekey'
   */
  readonly name?: string | undefined;
}

const STORE = "operations";

/** Starts one request on the store. */
type Ask<Value> = (store: IDBObjectStore) => Pick<IDBRequest<Value>, "result">;

/**
 * Keeps operations in IndexedDB: through reloads, crashes and closed tabs, for every tab of the origin, and for service workers
 * and other workers, which have no `localStorage`. IndexedDB has room for large bodies. If the browser refuses access (private
 * mode, blocked, full), the client goes on in memory and reports that through `onWarning`.
 *
 * @throws TypeError that names a wrong option.
 */
export function indexedDbStorage(options: IndexedDbStorageOptions = {}): OperationStorage {
  checkOptions(options, { name: isFilled }, "");
  const { name = "oncekey" } = options;
  let connection: Promise<IDBDatabase> | undefined;
  const forget = (): void => {
    connection = undefined;
  };

  // Opened at the first use: importing or creating the storage must not touch what a page may not have.
  function connect(): Promise<IDBDatabase> {
    connection ??= openDatabase(name, forget).catch((error: unknown) => {
      forget();
      throw error;
    });
    return connection;
  }

  async function use<Value>(mode: IDBTransactionMode, ask: Ask<Value>): Promise<Value> {
    try {
      return await transact(await connect(), mode, ask);
    } catch (error) {
      // Another tab closed the connection, or the browser lost it (WebKit reports UnknownError).
      if (!isError(error, "InvalidStateError", "UnknownError")) throw error;
      forget();
      return transact(await connect(), mode, ask);
    }
  }

  const read = async (item: string): Promise<unknown> =>
    use("readonly", (store) => store.get(item));
  const write = async (ask: Ask<unknown>): Promise<void> => void (await use("readwrite", ask));

  return {
    sharedAs: `indexedDB:${name}`,
    async getItem(item) {
      const value = await read(item);
      return typeof value === "string" ? value : null;
    },
    async addItem(item, value) {
      try {
        await write((store) => store.add(value, item));
        return true;
      } catch (error) {
        if (isError(error, "ConstraintError")) return false;
        throw error;
      }
    },
    setItem: (item, value) => write((store) => store.put(value, item)),
    setBytes: (item, bytes) => write((store) => store.put(bytes, item)),
    async getBytes(item) {
      const value = await read(item);
      return value instanceof Blob || value instanceof Uint8Array
        ? (value as Blob | Uint8Array<ArrayBuffer>)
        : null;
    },
    removeItem: (item) => write((store) => store.delete(item)),
    async getAllKeys() {
      return (await use("readonly", (store) => store.getAllKeys())).map(String);
    },
  };
}

async function openDatabase(name: string, forget: () => void): Promise<IDBDatabase> {
  // Without a version: the database of a later release stays as it is.
  const opening = indexedDB.open(name);
  opening.addEventListener("upgradeneeded", () => {
    opening.result.createObjectStore(STORE);
  });
  await settled(opening, "success", "error");
  const database = opening.result;
  database.addEventListener("close", forget);
  // Another tab deletes the database, or a later release upgrades it: this connection would block that.
  database.addEventListener("versionchange", () => {
    forget();
    database.close();
  });
  return database;
}

async function transact<Value>(
  database: IDBDatabase,
  mode: IDBTransactionMode,
  ask: Ask<Value>,
): Promise<Value> {
  // `strict`: a record is on the disk before its request leaves, if the browser can guarantee that.
  const transaction = database.transaction(STORE, mode, { durability: "strict" });
  const request = ask(transaction.objectStore(STORE));
  await settled(transaction, "complete", "abort");
  return request.result;
}

function settled(
  source: IDBRequest | IDBTransaction,
  success: "success" | "complete",
  failure: "error" | "abort",
): Promise<void> {
  return new Promise((resolve, reject) => {
    source.addEventListener(success, () => resolve());
    source.addEventListener(failure, () => {
      reject(source.error ?? new DOMException("The transaction was aborted", "AbortError"));
    });
  });
}

function isError(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof DOMException && names.includes(error.name);
}
