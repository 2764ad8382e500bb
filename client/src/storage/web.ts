/** Storage in localStorage or sessionStorage, under a namespace. */
import { accept, checkOptions, isFilled } from "../validation/check.ts";
import type { OperationStorage } from "./storage.ts";

export interface WebStorageOptions {
  /**
   * The storage that is used. Default `localStorage`, looked up at each use; `sessionStorage` keeps operations for one tab only.
   */
  readonly storage?: Storage | undefined;
  /**
   * Names the records of this application, not empty. Default: the API's origin and prefix. Set it if two applications of one
   * origin use the same API, or if the API may move while operations are unfinished.
   */
  readonly namespace?: string | undefined;
}

/**
 * Keeps operations in `localStorage`: through reloads, crashes and closed tabs, for every tab of the origin. If the browser refuses
 * (private mode, blocked, full), the client goes on in memory and reports that through `onWarning`.
 *
 * @throws TypeError that names a wrong option.
 */
export function webStorage(options: WebStorageOptions = {}): OperationStorage {
  checkOptions(options, { storage: isStorage, namespace: isFilled }, "webStorage.");
  const { storage, namespace } = options;
  // Looked up late: importing or creating this must not throw if there is no storage, such as on a server.
  const area = (): Storage => storage ?? globalThis.localStorage;
  return {
    getItem: (name) => area().getItem(name),
    setItem: (name, value) => area().setItem(name, value),
    removeItem: (name) => area().removeItem(name),
    getAllKeys: () =>
      Array.from({ length: area().length }, (_, index) => area().key(index)).filter(
        (name) => name !== null,
      ),
    ...(storage === undefined ? { sharedAs: "localStorage" } : {}),
    ...(namespace === undefined ? {} : { namespace }),
  };
}

const isStorage = /* @__PURE__ */ accept(
  (value) => typeof (value as Partial<Storage> | null)?.getItem === "function",
  "a Storage such as sessionStorage",
);
