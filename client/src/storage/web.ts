import type { OperationStorage } from "./storage.ts";

/**
 * Keeps operations in `localStorage`: through reloads, crashes and closed tabs, for every tab of the origin. Where the browser
 * refuses it (private mode, blocked, full), the client goes on in memory and says so through `onWarning`.
 *
 * @param storage default `localStorage`, looked up at each use; `sessionStorage` keeps them for one tab only.
 */
export function webStorage(storage?: Storage): OperationStorage {
  // Looked up late: importing or creating this must not throw where there is no storage, such as on a server.
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
  };
}
