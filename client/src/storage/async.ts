/** Storage over an asynchronous key-value store, such as AsyncStorage of React Native. */
import type { OperationStorage } from "./storage.ts";

const METHODS = ["getItem", "setItem", "removeItem", "getAllKeys"] as const;

/**
 * Keeps operations in React Native's AsyncStorage, or in anything that has its four methods: through a reload and a crash of the
 * app. If the storage fails, the client goes on in memory and reports that through `onWarning`.
 *
 * @param storage the default export of `@react-native-async-storage/async-storage`.
 * @throws TypeError that names the missing method.
 */
export function asyncStorage(
  storage: Pick<OperationStorage, (typeof METHODS)[number]>,
): OperationStorage {
  const missing = METHODS.find(
    (name) => typeof (storage as typeof storage | undefined)?.[name] !== "function",
  );
  if (missing !== undefined)
    throw new TypeError(`asyncStorage needs a storage with ${missing}, got none`);
  return {
    getItem: (name) => storage.getItem(name),
    setItem: (name, value) => storage.setItem(name, value),
    removeItem: (name) => storage.removeItem(name),
    getAllKeys: () => storage.getAllKeys(),
  };
}
