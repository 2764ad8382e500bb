/** One run of an instance at a time: a queue within the page, and a Web Lock among the tabs that share the storage. */
import { pause, reasonOf, whenAborted } from "../wire/timeout.ts";
import type { TabChannel } from "./tab-channel.ts";

/** The turn of one run. */
export interface Turn<Value> {
  /** Aborts when all who joined the run have aborted. */
  readonly signal: AbortSignal;
  /** `false` if waiting was given up: another run of the instance may still be under way. */
  readonly isAlone: boolean;
  /** Owner of the run of the instance that was under way when this run was requested. */
  readonly waitedFor: "nobody" | "page" | "tab";
  /** Resolves the run before its end. No run joins it afterwards, and the next run still waits for the end. */
  readonly resolve: (value: Value) => void;
  /** Resolves the queued run of an identity, which does not take its turn then. */
  readonly resolveQueued: (identity: string, value: Value) => void;
  /**
   * Returns the last accepted message of another tab since the run began. `mayBeLate`: after a lock was released, the message may
   * still be under way, and is waited for.
   */
  readonly receive: (
    accepts: (message: unknown) => boolean,
    mayBeLate: boolean,
  ) => Promise<unknown>;
  readonly announce: (message: unknown) => void;
}

export interface ExclusiveRun {
  /** Names the instance. */
  readonly id: string;
  /** Runs with the same identity join each other. */
  readonly identity: string;
  readonly signal: AbortSignal | undefined;
  /** Milliseconds to wait for another tab, which the browser may have frozen. */
  readonly waitMs: number;
}

export interface Exclusive<Value> {
  /** Joins the live or queued run of the same identity, or starts as soon as all runs before have ended. */
  readonly run: (ask: ExclusiveRun, start: (turn: Turn<Value>) => Promise<Value>) => Promise<Value>;
  /** Returns the instances that run, or wait for their turn, in any tab. */
  readonly live: () => Promise<ReadonlySet<string>>;
  /** Whether another run, here or in another tab, waits for its turn. */
  readonly isAwaited: (id: string) => Promise<boolean>;
  /** Aborts this page's runs whose names begin with a prefix, and resolves when they have ended. */
  readonly abort: (prefix: string, reason: unknown) => Promise<void>;
}

interface Job<Value> {
  /** `undefined` once it is resolved. */
  identity: string | undefined;
  readonly joined: Joined;
  readonly resolve: (value: Value) => void;
  readonly promise: Promise<Value>;
  readonly over: Promise<unknown>;
}

/** A message is under way for as long as two tasks of the event loop take; this is what a busy machine may need. */
const MESSAGE_WAIT_MS = 1_000;

/**
 * Makes the queue of a client. Without Web Locks (no secure context, React Native, most of Node) only the page takes turns.
 * The record in the storage keeps other contexts to one key.
 *
 * @param sharedAs names the storage among the contexts that see it; `undefined` if no other context does.
 */
export function createExclusive<Value>(
  sharedAs: string | undefined,
  channel: TabChannel,
): Exclusive<Value> {
  // Runs by instance, in the order of their turns: the first one runs, the others wait.
  const queues = new Map<string, readonly Job<Value>[]>();
  const suffix = `@${sharedAs}`;
  // Looked up late: creating a client must not need what a run needs.
  const manager = (): LockManager | undefined =>
    sharedAs === undefined ? undefined : (globalThis.navigator as Navigator | undefined)?.locks;

  async function query(): Promise<LockManagerSnapshot> {
    // A context without an origin of its own is refused, and shares nothing.
    const asked = manager()?.query();
    return (await asked?.catch(() => undefined)) ?? {};
  }

  function resolveQueued(id: string, identity: string, value: Value): void {
    const [, ...queued] = queues.get(id) ?? [];
    const job = queued.find((one) => one.identity === identity);
    if (job === undefined) return;
    job.identity = undefined;
    job.resolve(value);
  }

  function createJob(
    ask: ExclusiveRun,
    before: Job<Value> | undefined,
    start: (turn: Turn<Value>) => Promise<Value>,
  ): Job<Value> {
    const joined = joinSignals();
    joined.join(ask.signal);
    let resolve = (_value: Value): void => {};
    const resolved = new Promise<Value>((settle) => (resolve = settle));
    const begin = ({ isAlone, waitedFor }: LockState, receive: Receive): Promise<Value> =>
      start({
        signal: joined.signal,
        isAlone,
        waitedFor: waitedFor === "nobody" && before ? "page" : waitedFor,
        resolve(value) {
          job.identity = undefined;
          resolve(value);
        },
        resolveQueued: (identity, value) => resolveQueued(ask.id, identity, value),
        receive,
        announce: channel.post,
      });
    const takeTurn = async (receive: Receive): Promise<Value> => {
      // A queued run that aborts ends at once: it does not wait for its turn.
      const isTurn = before === undefined || (await endsFirst(before.over, joined.signal));
      if (before !== undefined && isTurn && job.identity === undefined) return resolved;
      const lock = { locks: manager(), name: ask.id + suffix, waitMs: ask.waitMs };
      return isTurn
        ? withLock({ ...lock, signal: joined.signal }, (state) => begin(state, receive))
        : begin({ isAlone: false, waitedFor: "page" }, receive);
    };
    // The inbox is open while the run is queued: without Web Locks another tab may end the operation then.
    // Before a caller gets the result: a run that starts then is another one.
    const result = withInbox(channel, takeTurn).finally(() => (job.identity = undefined));
    const job: Job<Value> = {
      identity: ask.identity,
      joined,
      resolve,
      promise: Promise.race([resolved, result]),
      over: Promise.allSettled([result, before?.over]),
    };
    return job;
  }

  async function removeAfter(job: Job<Value>, id: string): Promise<void> {
    await job.over;
    job.joined.end();
    const left = (queues.get(id) ?? []).filter((other) => other !== job);
    if (left.length === 0) queues.delete(id);
    else queues.set(id, left);
  }

  return {
    run(ask, start) {
      const before = queues.get(ask.id) ?? [];
      const same = before.find(
        ({ identity, joined }) => identity === ask.identity && !joined.signal.aborted,
      );
      if (same !== undefined) {
        same.joined.join(ask.signal);
        return same.promise;
      }
      const job = createJob(ask, before.at(-1), start);
      queues.set(ask.id, [...(queues.get(ask.id) ?? []), job]);
      void removeAfter(job, ask.id);
      return job.promise;
    },
    async isAwaited(id) {
      const [, ...queued] = queues.get(id) ?? [];
      if (queued.some(({ identity }) => identity !== undefined)) return true;
      const { pending = [] } = await query();
      return pending.some(({ name }) => name === id + suffix);
    },
    async live() {
      const { held = [], pending = [] } = await query();
      const names = [...held, ...pending].map(({ name = "" }) => name);
      const own = names.filter((name) => name.endsWith(suffix));
      return new Set([...own.map((name) => name.slice(0, -suffix.length)), ...queues.keys()]);
    },
    async abort(prefix, reason) {
      const jobs = [...queues].filter(([id]) => id.startsWith(prefix)).flatMap(([, all]) => all);
      for (const { joined } of jobs) joined.abort(reason);
      await Promise.all(jobs.map(({ over }) => over));
    },
  };
}

/** Signals of all runs that joined. */
interface Joined {
  readonly signal: AbortSignal;
  readonly join: (signal: AbortSignal | undefined) => void;
  readonly abort: (reason: unknown) => void;
  readonly end: () => void;
}

function joinSignals(): Joined {
  const controller = new AbortController();
  const joined = new Map<AbortSignal, () => void>();
  // A run that joins without a signal never aborts.
  let isPinned = false;
  let waiting = 0;
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    join(signal) {
      if (signal === undefined) isPinned = true;
      if (signal === undefined || joined.has(signal)) return;
      waiting += 1;
      const onAbort = (): void => {
        waiting -= 1;
        if (waiting === 0 && !isPinned) controller.abort(reasonOf(signal));
      };
      joined.set(signal, whenAborted(signal, onAbort));
    },
    end() {
      for (const unlisten of joined.values()) unlisten();
    },
  };
}

/** Whether a run ends before a signal aborts. */
function endsFirst(over: Promise<unknown>, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    whenAborted(signal, () => resolve(false));
    void over.then(() => resolve(true));
  });
}

interface Lock {
  readonly locks: LockManager | undefined;
  readonly name: string;
  readonly signal: AbortSignal;
  readonly waitMs: number;
}

type LockState = Pick<Turn<unknown>, "isAlone" | "waitedFor">;

async function withLock<Value>(
  { locks, name, signal, waitMs }: Lock,
  start: (state: LockState) => Promise<Value>,
): Promise<Value> {
  if (locks === undefined) return start({ isAlone: true, waitedFor: "nobody" });
  let begun: Promise<Value> | undefined;
  const begin = (state: LockState): Promise<Value> => (begun = start(state));
  const limit = new AbortController();
  const giveUp = (): void => limit.abort();
  // The signal is the run's own, and ends with it.
  whenAborted(signal, giveUp);
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const first = await locks.request(name, { ifAvailable: true }, async (lock) =>
      lock === null ? undefined : { value: await begin({ isAlone: true, waitedFor: "nobody" }) },
    );
    if (first !== undefined) return first.value;
    // A tab that the browser has frozen holds on to its lock without end.
    timer = setTimeout(giveUp, waitMs);
    return await locks.request(name, { signal: limit.signal }, () =>
      begin({ isAlone: true, waitedFor: "tab" }),
    );
  } catch {
    // The caller gets what `start` threw. Otherwise the wait was given up, or this context may have no locks.
    const { aborted } = limit.signal;
    return await (begun ?? start({ isAlone: !aborted, waitedFor: aborted ? "tab" : "nobody" }));
  } finally {
    clearTimeout(timer);
  }
}

type Receive = Turn<unknown>["receive"];

/** Listens before the lock is requested: its holder announces the end first, so no message is missed. */
async function withInbox<Value>(
  channel: TabChannel,
  use: (receive: Receive) => Promise<Value>,
): Promise<Value> {
  // The newest first: an unknown outcome may have settled since.
  const messages: unknown[] = [];
  const arrival = new AbortController();
  let onMessage = (): void => {};
  const stop = channel.listen((message) => {
    messages.unshift(message);
    onMessage();
  });
  try {
    return await use(async (accepts, mayBeLate) => {
      if (mayBeLate && channel.isOpen() && !messages.some(accepts)) {
        onMessage = () => messages.some(accepts) && arrival.abort();
        await pause(MESSAGE_WAIT_MS, arrival.signal);
      }
      return messages.find(accepts);
    });
  } finally {
    stop();
  }
}
