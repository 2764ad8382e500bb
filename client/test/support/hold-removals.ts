import type { OperationStorage } from "@oncekey/client";
import { createGate, namedStorage } from "./tabs.ts";

/** A storage that removes nothing until it is let. */
export function holdRemovals(inner: OperationStorage = namedStorage()) {
  const { opened, open } = createGate();
  const asked = createGate();
  const storage: OperationStorage = {
    ...inner,
    async removeItem(name) {
      asked.open();
      await opened;
      await inner.removeItem(name);
    },
  };
  return { storage, asked: asked.opened, open };
}
