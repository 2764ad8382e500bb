/** One live run for each instance among all tabs, windows and workers that see the same storage. */
import { pause } from "../options/backoff.ts";

/** The turn of one run among the contexts that share a storage. */
export interface Turn {
  /** `false` where waiting for another context was given up: that one may still run. */
  readonly isAlone: boolean;
  /** Whether another context was running it when this one asked. */
  readonly hasWaited: boolean;
  /**
   * What another context announced meanwhile, the last that is accepted. After a wait it may still be under way, and is waited
   * for: `mayBeLate`.
   */
  handed(accepts: (message: unknown) => boolean, mayBeLate: boolean): Promise<unknown>;
  /** Tells those who wait how it ended. */
  announce(message: unknown): void;
}

/** How long a run waits for its turn. */
export interface Patience {
  readonly signal: AbortSignal | undefined;
  readonly waitMs: number;
}

export interface Tabs {
  /** Runs `start` once no other context runs this instance, or once `patience` is at its end. */
  take<Value>(
    id: string,
    patience: Patience,
    start: (turn: Turn) => Promise<Value>,
  ): Promise<Value>;
  /** Whether another run of this instance waits for its turn. */
  isAwaited(id: string): Promise<boolean>;
  /** The instances that run, or wait for their turn, in any context. */
  live(): Promise<ReadonlySet<string>>;
  /** Milliseconds since 1970, later each time. */
  nowAt(): number;
}

/** A result is on its way for as long as two tasks of the event loop take; this is what a frozen machine may need. */
const HANDOVER_MS = 1_000;

/** In all clients of this context: what one does after the other has an order. */
let lastAt = 0;

/**
 * Web Locks hold the turn: a context that dies lets go of it. Without them (no secure context, React Native, most of Node), or
 * where nobody else sees the storage, every run has its turn at once, and the record on the shelf is what keeps the key one.
 *
 * @param sharedAs the name of the storage among the contexts that see it; `undefined` where there are none.
 */
export function createTabs(sharedAs: string | undefined): Tabs {
  const suffix = `@${sharedAs}`;
  // Looked up late: creating a client must not need what a run needs.
  const manager = (): LockManager | undefined =>
    sharedAs === undefined ? undefined : (globalThis.navigator as Navigator | undefined)?.locks;

  async function query(): Promise<LockManagerSnapshot> {
    // A context without an origin of its own is refused, and shares nothing.
    return (
      (await manager()
        ?.query()
        .catch(() => undefined)) ?? {}
    );
  }

  return {
    async take(id, patience, start) {
      const locks = manager();
      const channel = openChannel(locks && id + suffix);
      try {
        if (locks === undefined)
          return await start({ ...channel, isAlone: true, hasWaited: false });
        return await waitForTurn(locks, id + suffix, patience, (state) =>
          start({ ...channel, ...state }),
        );
      } finally {
        channel.close();
      }
    },
    async isAwaited(id) {
      const { pending = [] } = await query();
      return pending.some(({ name }) => name === id + suffix);
    },
    async live() {
      const { held = [], pending = [] } = await query();
      const names = [...held, ...pending].map(({ name = "" }) => name);
      return new Set(
        names.filter((name) => name.endsWith(suffix)).map((name) => name.slice(0, -suffix.length)),
      );
    },
    nowAt: () => (lastAt = Math.max(Date.now(), lastAt + 1)),
  };
}

type TurnState = Pick<Turn, "isAlone" | "hasWaited">;

async function waitForTurn<Value>(
  locks: LockManager,
  name: string,
  { signal, waitMs }: Patience,
  start: (state: TurnState) => Promise<Value>,
): Promise<Value> {
  let begun: Promise<Value> | undefined;
  const begin = (state: TurnState): Promise<Value> => (begun = start(state));
  const limit = new AbortController();
  const giveUp = (): void => limit.abort();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const first = await locks.request(name, { ifAvailable: true }, async (lock) =>
      lock === null ? undefined : { value: await begin({ isAlone: true, hasWaited: false }) },
    );
    if (first !== undefined) return first.value;
    // A tab that the browser has frozen holds on to its lock without end.
    timer = setTimeout(giveUp, waitMs);
    signal?.addEventListener("abort", giveUp, { once: true });
    if (signal?.aborted) giveUp();
    return await locks.request(name, { signal: limit.signal }, () => {
      clearTimeout(timer);
      return begin({ isAlone: true, hasWaited: true });
    });
  } catch {
    // What `start` threw is the caller's. Otherwise it was given up, or this context may not have locks at all.
    return await (begun ??
      start({ isAlone: !limit.signal.aborted, hasWaited: limit.signal.aborted }));
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
  }
}

type Channel = Pick<Turn, "handed" | "announce"> & { close(): void };

/** Listens from now on: whoever has the turn announces the end before letting go, so that nobody who waits can miss it. */
function openChannel(name: string | undefined): Channel {
  // The newest first: what was not known before may be known since.
  const messages: unknown[] = [];
  const arrival = new AbortController();
  let onMessage = (): void => {};
  const Broadcast = globalThis.BroadcastChannel as typeof BroadcastChannel | undefined;
  const channel = name === undefined || Broadcast === undefined ? undefined : new Broadcast(name);
  if (channel !== undefined) {
    channel.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      messages.unshift(data);
      onMessage();
    });
  }
  return {
    async handed(accepts, mayBeLate) {
      if (channel !== undefined && mayBeLate && !messages.some(accepts)) {
        onMessage = () => messages.some(accepts) && arrival.abort();
        await pause(HANDOVER_MS, arrival.signal);
      }
      return messages.find(accepts);
    },
    announce(message) {
      try {
        channel?.postMessage(message);
      } catch {
        // It holds what cannot be handed over. Those who wait ask the server, with the same key.
      }
    },
    close: () => channel?.close(),
  };
}
