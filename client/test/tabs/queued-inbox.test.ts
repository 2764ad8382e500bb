import { expect, it } from "vitest";
import { createExclusive } from "../../src/tabs/exclusive.ts";
import type { TabChannel } from "../../src/tabs/tab-channel.ts";
import { createGate } from "../support/tabs.ts";

it("a queued run receives what another tab announces before its turn", async () => {
  const listeners = new Set<(message: unknown) => void>();
  const channel: TabChannel = {
    isOpen: () => true,
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    post: () => undefined,
  };
  // Without a shared storage there are no locks.
  const turns = createExclusive<unknown>(undefined, channel);
  const ask = { id: "order", signal: undefined, waitMs: 1_000 };
  const { opened, open } = createGate();
  const first = turns.run({ ...ask, identity: "check" }, () => opened);
  const queued = turns.run({ ...ask, identity: "run" }, ({ receive }) =>
    receive((message) => message === "done", false),
  );
  for (const listener of listeners) listener("done");
  open();
  await first;
  expect(await queued).toBe("done");
  expect(listeners.size).toBe(0);
});
