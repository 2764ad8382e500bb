/** Turns of an instance, without a server: the runs under test, and the channel and locks beside them. */
import { createExclusive } from "../../src/tabs/exclusive.ts";
import type { Exclusive, ExclusiveRun, Turn } from "../../src/tabs/exclusive.ts";
import type { TabChannel } from "../../src/tabs/tab-channel.ts";

export interface TestChannel extends TabChannel {
  readonly hear: (message: unknown) => void;
  readonly posted: readonly unknown[];
  readonly listening: () => number;
}

export function createChannel(isOpen = true): TestChannel {
  const listeners = new Set<(message: unknown) => void>();
  const posted: unknown[] = [];
  return {
    isOpen: () => isOpen,
    listen(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
    post: (message) => void posted.push(message),
    posted,
    hear: (message) => {
      for (const listener of listeners) listener(message);
    },
    listening: () => listeners.size,
  };
}

/** Turns of a page whose storage no other tab sees: there are no locks. */
export function createTurns(channel: TabChannel = createChannel()): Exclusive<unknown> {
  return createExclusive<unknown>(undefined, channel);
}

/** Turns of a tab, and the name of the storage that it shares. */
export function createTab(channel: TabChannel = createChannel()): {
  readonly turns: Exclusive<unknown>;
  readonly shared: string;
} {
  const shared = crypto.randomUUID();
  return { turns: createExclusive<unknown>(shared, channel), shared };
}

export const ask: ExclusiveRun = {
  id: "order",
  identity: "apple",
  signal: undefined,
  waitMs: 60_000,
};
export const pear: ExclusiveRun = { ...ask, identity: "pear" };

/** A start that ends when its gate opens, and keeps the turn that it got. */
export function createStart(): {
  readonly start: (turn: Turn<unknown>) => Promise<unknown>;
  readonly turn: () => Turn<unknown>;
  readonly calls: () => number;
  readonly end: (value: unknown) => void;
} {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  const turns: Turn<unknown>[] = [];
  return {
    start: (turn) => {
      turns.push(turn);
      return promise;
    },
    turn() {
      const [turn] = turns;
      if (turn === undefined) throw new Error("not started");
      return turn;
    },
    calls: () => turns.length,
    end: resolve,
  };
}

export const tick = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
