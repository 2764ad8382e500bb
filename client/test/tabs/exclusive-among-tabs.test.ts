/** Turns of an instance beside tabs that are locks alone, and the messages between them. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { createGate } from "../support/tabs.ts";
import {
  ask,
  createChannel,
  createStart,
  createTab,
  createTurns,
  pear,
  tick,
} from "../support/turns.ts";

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe("a run beside other tabs", () => {
  it("holds the lock of its instance until its end", async () => {
    const { turns, shared } = createTab();
    const started = createStart();
    const run = turns.run(ask, started.start);
    await expect.poll(() => started.calls()).toBe(1);
    const held = async (): Promise<boolean> =>
      navigator.locks.request(`order@${shared}`, { ifAvailable: true }, (lock) => lock === null);
    expect(await held()).toBe(true);
    expect(started.turn()).toMatchObject({ isAlone: true, waitedFor: "nobody" });
    started.end("over");
    expect([await run, await held()]).toEqual(["over", false]);
  });

  it("waits for no page whose storage is its own", async () => {
    const [one, other] = [createStart(), createStart()];
    const runs = [one, other].map(({ start }) => createTurns().run(ask, start));
    await tick();
    expect([one.calls(), other.calls()]).toEqual([1, 1]);
    one.end(undefined);
    other.end(undefined);
    await Promise.all(runs);
  });

  it("waits for the tab that comes before it, also behind a run of its own page", async () => {
    const { turns, shared } = createTab();
    const { opened, open } = createGate();
    const [first, second] = [createStart(), createStart()];
    const runs = [turns.run(ask, first.start), turns.run(pear, second.start)];
    await expect.poll(() => first.calls()).toBe(1);
    const granted = createGate();
    const lock = navigator.locks.request(`order@${shared}`, () => (granted.open(), opened));
    first.end(undefined);
    await granted.opened;
    const waiting = async (): Promise<number> => {
      const { pending = [] } = await navigator.locks.query();
      return pending.filter(({ name }) => name === `order@${shared}`).length;
    };
    await expect.poll(waiting).toBe(1);
    open();
    await lock;
    await expect.poll(() => second.calls()).toBe(1);
    expect(second.turn()).toMatchObject({ isAlone: true, waitedFor: "tab" });
    second.end(undefined);
    await Promise.all(runs);
  });

  it("leaves no timer once it has waited for another tab", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { turns, shared } = createTab();
    const { opened, open } = createGate();
    const lock = navigator.locks.request(`order@${shared}`, () => opened);
    const run = turns.run(ask, () => Promise.resolve());
    await expect.poll(() => vi.getTimerCount()).toBe(1);
    open();
    await Promise.all([lock, run]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("waits for the tab that holds it, and is alone then", async () => {
    const { turns, shared } = createTab();
    const { opened, open } = createGate();
    const lock = navigator.locks.request(`order@${shared}`, () => opened);
    const started = createStart();
    const run = turns.run(ask, started.start);
    await expect.poll(() => turns.isAwaited("order")).toBe(true);
    expect(started.calls()).toBe(0);
    open();
    await lock;
    await expect.poll(() => started.calls()).toBe(1);
    expect(started.turn()).toMatchObject({ isAlone: true, waitedFor: "tab" });
    started.end(undefined);
    await run;
  });

  it.each<[string, number, boolean]>([
    ["after its time", 1, false],
    ["when it is stopped", 60_000, true],
  ])("goes on, not alone, %s: that tab may be frozen", async (_name, waitMs, isStopped) => {
    const { turns, shared } = createTab();
    const { opened, open } = createGate();
    const lock = navigator.locks.request(`order@${shared}`, () => opened);
    const stop = new AbortController();
    const started = createStart();
    const run = turns.run({ ...ask, waitMs, signal: stop.signal }, started.start);
    if (isStopped) {
      await expect.poll(() => turns.isAwaited("order")).toBe(true);
      stop.abort();
    }
    await expect.poll(() => started.calls()).toBe(1);
    expect(started.turn()).toMatchObject({ isAlone: false, waitedFor: "tab" });
    started.end(undefined);
    await run;
    open();
    await lock;
  });

  it("goes on, alone in its page, if its context has no locks to give", async () => {
    const request = vi.fn<() => Promise<never>>(() => Promise.reject(new Error("no origin")));
    vi.stubGlobal("navigator", { locks: { request } });
    const { turns } = createTab();
    const started = createStart();
    const run = turns.run(ask, started.start);
    await tick();
    expect(started.turn()).toMatchObject({ isAlone: true, waitedFor: "nobody" });
    started.end("fine");
    expect([await run, request.mock.calls.length]).toEqual(["fine", 1]);
  });

  it("gets the error of its start, which is called once", async () => {
    const { turns } = createTab();
    const start = vi.fn(() => Promise.reject(new Error("broken")));
    await expect(turns.run(ask, start)).rejects.toThrow("broken");
    expect(start).toHaveBeenCalledOnce();
  });
});

describe("the inbox of a run", () => {
  const isDone = (message: unknown): boolean => message === "done" || message === "newer";

  it("is open while the run is queued, and closes at its end", async () => {
    const channel = createChannel();
    const turns = createTurns(channel);
    const { opened, open } = createGate();
    const first = turns.run(ask, () => opened);
    const queued = turns.run(pear, ({ receive }) => receive(isDone, false));
    channel.hear("done");
    open();
    await first;
    expect(await queued).toBe("done");
    expect(channel.listening()).toBe(0);
  });

  it("has the newest of the accepted messages", async () => {
    const channel = createChannel();
    const started = createStart();
    const run = createTurns(channel).run(ask, started.start);
    await tick();
    for (const message of ["done", "newer", "other"]) channel.hear(message);
    expect(await started.turn().receive(isDone, true)).toBe("newer");
    started.end(undefined);
    await run;
  });

  it("waits for a message that may be late, for a second at most", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const channel = createChannel();
    const started = createStart();
    const run = createTurns(channel).run(ask, started.start);
    await tick();
    const { receive } = started.turn();
    const none = receive(isDone, true);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(await none).toBeUndefined();
    const late = receive(isDone, true);
    channel.hear("other");
    await tick();
    channel.hear("done");
    expect(await late).toBe("done");
    started.end(undefined);
    await run;
  });

  it.each<[string, boolean, boolean]>([
    ["no message can be late", true, false],
    ["no message can come", false, true],
  ])("waits for nothing if %s", async (_name, isOpen, mayBeLate) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const started = createStart();
    const run = createTurns(createChannel(isOpen)).run(ask, started.start);
    await tick();
    expect(await started.turn().receive(isDone, mayBeLate)).toBeUndefined();
    started.end(undefined);
    await run;
  });

  it("is the way out as well: a run announces to other tabs", async () => {
    const channel = createChannel();
    await createTurns(channel).run(ask, ({ announce }) => {
      announce("over");
      return Promise.resolve();
    });
    expect(channel.posted).toEqual(["over"]);
  });
});
