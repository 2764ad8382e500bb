/** Turns of an instance in one page, and what the page knows of other tabs by their locks. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { createGate } from "../support/tabs.ts";
import { ask, createStart, createTab, createTurns, pear, tick } from "../support/turns.ts";

afterEach(() => vi.unstubAllGlobals());

describe("runs of one instance in a page", () => {
  it("join the live run of the same identity, and queue behind another", async () => {
    const turns = createTurns();
    const [first, second] = [createStart(), createStart()];
    const runs = [
      turns.run(ask, first.start),
      turns.run(pear, second.start),
      turns.run(ask, second.start),
      turns.run(pear, first.start),
    ];
    await tick();
    expect([first.calls(), second.calls()]).toEqual([1, 0]);
    expect(first.turn()).toMatchObject({ isAlone: true, waitedFor: "nobody" });
    first.end("one");
    await runs[0];
    await tick();
    expect(second.turn()).toMatchObject({ isAlone: true, waitedFor: "page" });
    second.end("two");
    expect(await Promise.all(runs)).toEqual(["one", "two", "one", "two"]);
    expect([first.calls(), second.calls()]).toEqual([1, 1]);
  });

  it("queue behind all that were asked for before, not behind the first alone", async () => {
    const turns = createTurns();
    const starts = [createStart(), createStart(), createStart()];
    for (const [index, { start }] of starts.entries())
      void turns.run({ ...ask, identity: String(index) }, start);
    starts[0]?.end(undefined);
    await tick();
    await tick();
    expect(starts.map(({ calls }) => calls())).toEqual([1, 1, 0]);
    starts[1]?.end(undefined);
    await tick();
    await tick();
    expect(starts.map(({ calls }) => calls())).toEqual([1, 1, 1]);
    starts[2]?.end(undefined);
  });

  it("begin anew once the run of the same identity has a result, and still wait for its end", async () => {
    const turns = createTurns();
    const [first, second] = [createStart(), createStart()];
    const run = turns.run(ask, first.start);
    await tick();
    first.turn().resolve("early");
    expect(await run).toBe("early");
    const next = turns.run(ask, second.start);
    await tick();
    expect(second.calls()).toBe(0);
    first.end("late");
    second.end("next");
    expect(await next).toBe("next");
  });

  it("end without a turn if the run before settles them", async () => {
    const turns = createTurns();
    const [first, second, third] = [createStart(), createStart(), createStart()];
    void turns.run(ask, first.start);
    const queued = turns.run(pear, second.start);
    const other = turns.run({ ...ask, identity: "fig" }, third.start);
    await tick();
    first.turn().resolveQueued("plum", "not asked for");
    first.turn().resolveQueued("apple", "not queued");
    first.turn().resolveQueued("pear", "settled");
    expect(await queued).toBe("settled");
    first.end(undefined);
    third.end("own");
    expect([await other, second.calls()]).toEqual(["own", 0]);
  });

  it("take the turn of a run that threw, and each gets its own error", async () => {
    const turns = createTurns();
    const broken = new Error("broken");
    const first = turns.run(ask, () => Promise.reject(broken));
    const second = turns.run(pear, () => Promise.resolve("fine"));
    await expect(first).rejects.toBe(broken);
    expect(await second).toBe("fine");
  });

  it("are alone among those of other instances", async () => {
    const turns = createTurns();
    const [first, second] = [createStart(), createStart()];
    void turns.run(ask, first.start);
    void turns.run({ ...ask, id: "refund" }, second.start);
    await tick();
    expect([first.calls(), second.calls()]).toEqual([1, 1]);
    first.end(undefined);
    second.end(undefined);
  });
});

describe("the signals of runs that joined", () => {
  it("abort the run once all have aborted, with the reason of the last", async () => {
    const turns = createTurns();
    const [one, two] = [new AbortController(), new AbortController()];
    const started = createStart();
    void turns.run({ ...ask, signal: one.signal }, started.start);
    void turns.run({ ...ask, signal: two.signal }, started.start);
    await tick();
    one.abort("one");
    expect(started.turn().signal.aborted).toBe(false);
    two.abort("two");
    expect(started.turn().signal.reason).toBe("two");
    started.end(undefined);
  });

  it("abort nothing while a run has joined without one", async () => {
    const turns = createTurns();
    const one = new AbortController();
    const started = createStart();
    void turns.run({ ...ask, signal: one.signal }, started.start);
    void turns.run(ask, started.start);
    await tick();
    one.abort();
    expect(started.turn().signal.aborted).toBe(false);
    started.end(undefined);
  });

  it("have no listener left at the end, also if one signal joined twice", async () => {
    const turns = createTurns();
    const { signal } = new AbortController();
    const added = vi.spyOn(signal, "addEventListener");
    const removed = vi.spyOn(signal, "removeEventListener");
    const runs = [ask, ask, pear].map(({ identity }) =>
      turns.run({ ...ask, identity, signal }, () => Promise.resolve()),
    );
    await Promise.all(runs);
    await tick();
    expect(added.mock.calls.length).toBeGreaterThan(0);
    const gone = removed.mock.calls.map(([, listener]) => listener);
    expect(added.mock.calls.filter(([, listener]) => !gone.includes(listener))).toEqual([]);
  });

  it("that abort in the queue let the run end at once, not alone", async () => {
    const turns = createTurns();
    const stop = new AbortController();
    const [first, second] = [createStart(), createStart()];
    void turns.run(ask, first.start);
    const queued = turns.run({ ...pear, signal: stop.signal }, second.start);
    await tick();
    stop.abort();
    await tick();
    expect(second.turn()).toMatchObject({ isAlone: false, waitedFor: "page" });
    second.end("stopped");
    expect(await queued).toBe("stopped");
    first.end(undefined);
  });

  it("that have aborted are not joined: the next run is its own", async () => {
    const turns = createTurns();
    const stop = new AbortController();
    const [first, second] = [createStart(), createStart()];
    void turns.run({ ...ask, signal: stop.signal }, first.start);
    stop.abort();
    const next = turns.run(ask, second.start);
    first.end("stopped");
    second.end("own");
    expect(await next).toBe("own");
  });
});

describe("abort", () => {
  it("stops the runs whose names begin like this, and resolves after their end", async () => {
    const turns = createTurns();
    const [mine, other] = [createStart(), createStart()];
    void turns.run({ ...ask, id: "ann:order" }, mine.start);
    void turns.run({ ...ask, id: "bob:order" }, other.start);
    await tick();
    let isOver = false;
    const over = turns.abort("ann:", "signed out").then(() => (isOver = true));
    await tick();
    expect([mine.turn().signal.reason, other.turn().signal.aborted]).toEqual(["signed out", false]);
    expect(isOver).toBe(false);
    mine.end(undefined);
    await over;
    other.end(undefined);
  });
});

describe("what is live", () => {
  it("are the instances of this page, from the click to the end", async () => {
    const turns = createTurns();
    const [first, second] = [createStart(), createStart()];
    expect(await turns.live()).toEqual(new Set());
    const runs = [turns.run(ask, first.start), turns.run(pear, second.start)];
    expect(await turns.live()).toEqual(new Set(["order"]));
    first.end(undefined);
    await runs[0];
    await tick();
    expect(await turns.live()).toEqual(new Set(["order"]));
    second.end(undefined);
    await runs[1];
    await tick();
    expect(await turns.live()).toEqual(new Set());
  });

  it("are the locks of tabs that share the storage, held or requested, and of no others", async () => {
    const { turns, shared } = createTab();
    const { opened, open } = createGate();
    const names = [`order@${shared}`, `order@${shared}`, `refund@${shared}`, "cart@other"];
    const locks = names.map((name) => navigator.locks.request(name, () => opened));
    expect(await turns.live()).toEqual(new Set(["order", "refund"]));
    open();
    await Promise.all(locks);
  });

  it.each<[string, unknown]>([
    ["without a navigator", undefined],
    ["without locks", {}],
    ["if locks are refused", { locks: { query: () => Promise.reject(new Error("no origin")) } }],
  ])("are those of this page alone: %s", async (_name, navigator) => {
    vi.stubGlobal("navigator", navigator);
    const { turns } = createTab();
    expect([await turns.live(), await turns.isAwaited("order")]).toEqual([new Set(), false]);
  });
});

describe("a run is awaited", () => {
  it("while another of this page is queued and unsettled", async () => {
    const turns = createTurns();
    const [first, second] = [createStart(), createStart()];
    void turns.run(ask, first.start);
    await tick();
    expect(await turns.isAwaited("order")).toBe(false);
    const queued = turns.run(pear, second.start);
    expect([await turns.isAwaited("order"), await turns.isAwaited("refund")]).toEqual([
      true,
      false,
    ]);
    first.turn().resolveQueued("pear", "settled");
    await queued;
    expect(await turns.isAwaited("order")).toBe(false);
    first.end(undefined);
  });

  it("while another tab requests its lock, and not while a tab holds it", async () => {
    const { turns, shared } = createTab();
    const { opened, open } = createGate();
    const locks = [navigator.locks.request(`order@${shared}`, () => opened)];
    expect(await turns.isAwaited("order")).toBe(false);
    locks.push(navigator.locks.request(`order@${shared}`, () => opened));
    expect([await turns.isAwaited("order"), await turns.isAwaited("refund")]).toEqual([
      true,
      false,
    ]);
    open();
    await Promise.all(locks);
  });
});
