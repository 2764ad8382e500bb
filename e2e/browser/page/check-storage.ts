/** The contract of storages, run on what the browser really has. */
import { indexedDbStorage, webStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { storageContract } from "@oncekey/client/storage-contract";
import type { CheckStorage, Kept } from "../bare-shop.ts";

export const checkStorage: CheckStorage = async (kept) => {
  let place = "";
  const open = (): OperationStorage => {
    place = crypto.randomUUID();
    return openPlace(kept, place);
  };
  const right: string[] = [];
  const wrong: string[] = [];
  for (const { title, run } of storageContract({ open, reopen: () => openPlace(kept, place) })) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other: `reopen` means the place of the last `open`
    await run().then(
      () => right.push(title),
      (error: unknown) => wrong.push(`${title}: ${String(error)}`),
    );
  }
  return { right, wrong };
};

function openPlace(kept: Kept, place: string): OperationStorage {
  if (kept === "IndexedDB") return indexedDbStorage({ name: place });
  // Every origin has one only: a new place is an empty one.
  if (localStorage.getItem("place") !== place) {
    localStorage.clear();
    localStorage.setItem("place", place);
  }
  const storage = webStorage();
  return {
    ...storage,
    getAllKeys: async () => (await storage.getAllKeys()).filter((name) => name !== "place"),
  };
}
