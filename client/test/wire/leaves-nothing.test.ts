/** A run that has ended leaves nothing behind: no timer that keeps a process alive, and no listener on what outlives it. */
import { createClient } from "@oncekey/client";
import { createIdempotentFetch } from "@oncekey/client/fetch";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { createHeld } from "../support/held.ts";
import { done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import { openBrowser } from "../support/tabs.ts";

const never: Reply = () => undefined;
const running = problem(409, "idempotency_in_flight");

/** Listeners that are still registered. A listener for one event has gone once its signal has aborted. */
class Listeners {
  readonly #left = new Set<unknown>();
  readonly add = (_type: string, listener: unknown): void => void this.#left.add(listener);
  readonly remove = (_type: string, listener: unknown): void => void this.#left.delete(listener);
  get count(): number {
    return this.#left.size;
  }
}

interface Caller {
  readonly signal: AbortSignal;
  readonly abort: () => void;
}

const listeners = new Listeners();
const timers = new Set<NodeJS.Timeout>();

/** A caller whose signal outlives its runs, such as that of a page. */
function createCaller(): Caller {
  const controller = new AbortController();
  const { signal } = controller;
  Object.assign(signal, {
    addEventListener(type: string, listener: () => void, options?: AddEventListenerOptions) {
      listeners.add(type, listener);
      AbortSignal.prototype.addEventListener.call(signal, type, listener, options);
    },
    removeEventListener(type: string, listener: () => void) {
      listeners.remove(type, listener);
      AbortSignal.prototype.removeEventListener.call(signal, type, listener);
    },
  });
  const abort = (): void => controller.abort();
  return { signal, abort };
}

beforeEach(() => {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  vi.stubGlobal(
    "setTimeout",
    (use: (...given: unknown[]) => void, ms: number, ...given: unknown[]) => {
      const isOurs = /client\/src\//.test(new Error("stack").stack ?? "");
      const timer = set(() => (timers.delete(timer), use(...given)), ms);
      if (isOurs) timers.add(timer);
      return timer;
    },
  );
  vi.stubGlobal("clearTimeout", (timer: NodeJS.Timeout) => {
    timers.delete(timer);
    clear(timer);
  });
});
afterEach(() => {
  for (const timer of timers) clearTimeout(timer);
  timers.clear();
  vi.unstubAllGlobals();
});

/** Timers and listeners that keep a process alive, or a caller's signal in memory. */
const left = (): { timers: number; listeners: number } => ({
  timers: [...timers].filter((timer) => timer.hasRef()).length,
  listeners: listeners.count,
});
const NOTHING = { timers: 0, listeners: 0 };

describe("an operation", () => {
  it.each<[string, Reply[], object]>([
    ["done at once", [done], { kind: "done" }],
    [
      "done and remembered",
      [json(201, { id: 1 }, { "idempotency-key-lifetime": "60" })],
      { kind: "done" },
    ],
    ["done after a lost reply", [reset, done], { kind: "done" }],
    ["done after a poll", [running, done], { kind: "done" }],
    ["rejected", [json(402, {})], { kind: "rejected" }],
    ["unknown after all attempts", [reset], { kind: "unknown" }],
    ["unknown after an attempt timeout", [never], { kind: "unknown" }],
  ])("leaves nothing behind: %s", async (_name, replies, expected) => {
    await withServer(replies, async ({ url }) => {
      const { signal } = createCaller();
      const attemptTimeoutMs = replies.includes(never) ? 100 : undefined;
      const { client, order } = createShop(url, {
        attempts: 2,
        attemptTimeoutMs,
        rememberMs: undefined,
      });
      expect(await order.run(cart, { signal })).toMatchObject(expected);
      // Waits for what comes after the result.
      await client.reset();
      expect(left()).toEqual(NOTHING);
    });
  });

  it("leaves nothing behind if it is aborted while it is under way, waits to retry, or waits for its turn", async () => {
    await withServer([never, reset, done], async ({ url, seen }) => {
      const [underWay, queued, waiting] = [createCaller(), createCaller(), createCaller()];
      const { client, order } = createShop(url, { backoff: { baseMs: 60_000, capMs: 60_000 } });
      const runs = [
        order.run(cart, { signal: underWay.signal }),
        order.run({ ...cart, lines: ["pear"] }, { signal: queued.signal }),
      ];
      await expect.poll(() => seen.length).toBe(1);
      queued.abort();
      underWay.abort();
      await Promise.all(runs);
      const onWait = (): void => void setTimeout(waiting.abort);
      await order.run({ ...cart, id: "cart-2" }, { signal: waiting.signal, onWait });
      await client.reset();
      expect(left()).toEqual(NOTHING);
    });
  });

  it("leaves no listener on the signal of a run that joined", async () => {
    const held = createHeld();
    await withServer([held.reply], async ({ url }) => {
      const { client, order } = createShop(url);
      const [one, two] = [createCaller(), createCaller()];
      const runs = [order.run(cart, one), order.run(cart, two)];
      await held.arrived;
      held.go();
      await Promise.all(runs);
      await client.reset();
      expect(left()).toEqual(NOTHING);
    });
  });

  it("leaves no timer of its wait for another tab, whether its turn came or not", async () => {
    const held = createHeld();
    const { openTab, waiting } = openBrowser();
    await withServer([held.reply], async ({ url }) => {
      const [one, two] = [openTab(url), openTab(url)];
      const first = one.order.run(cart);
      await held.arrived;
      const caller = createCaller();
      const second = two.order.run(cart, caller);
      const third = openTab(url).order.run({ ...cart, lines: ["pear"] }, caller);
      await waiting(2);
      caller.abort();
      held.go();
      await Promise.all([first, second, third]);
      await Promise.all([one.client.reset(), two.client.reset()]);
      expect(left()).toEqual(NOTHING);
    });
    await withServer([done], async ({ url }) => {
      const tabs = [openTab(url), openTab(url)];
      await Promise.all(tabs.map(({ order }) => order.run(cart)));
      await Promise.all(tabs.map(({ client }) => client.reset()));
      expect(left()).toEqual(NOTHING);
    });
  });

  it("leaves no listener for the connection of the device", async () => {
    const page = new EventTarget();
    const online = new Listeners();
    vi.stubGlobal("navigator", { onLine: false });
    vi.stubGlobal("addEventListener", (type: string, listener: () => void) => {
      online.add(type, listener);
      page.addEventListener(type, listener);
    });
    vi.stubGlobal("removeEventListener", online.remove);
    await withServer([reset, done], async ({ url }) => {
      const { client, order } = createShop(url, { attempts: 3 });
      const onWait = ({ reason }: { reason: string }): void => {
        if (reason === "offline") setTimeout(() => page.dispatchEvent(new Event("online")));
      };
      expect((await order.run(cart, { onWait })).kind).toBe("done");
      await client.reset();
      expect(online.count).toBe(0);
      expect(left()).toEqual(NOTHING);
    });
  });

  it("reads a storage that answers without leaving the timer of its bound", async () => {
    await withServer([done], async ({ url }) => {
      const items = new Map<string, string>();
      const storage = {
        getItem: async (name: string) => items.get(name) ?? null,
        setItem: async (name: string, value: string) => void items.set(name, value),
        removeItem: async (name: string) => void items.delete(name),
        getAllKeys: async () => [...items.keys()],
      };
      const { client, order } = createShop(url, { storage });
      // The look at what earlier pages left is over.
      await client.pending();
      await order.run(cart);
      await client.reset();
      expect(left()).toEqual(NOTHING);
    });
  });
});

describe("a call without an operation", () => {
  it.each<[string, Reply[]]>([
    ["done", [done]],
    ["done after a lost reply", [reset, done]],
    ["never answered", [never]],
  ])("leaves nothing on its caller's signal: %s", async (_name, replies) => {
    const attemptTimeoutMs = replies.includes(never) ? 100 : undefined;
    const options = { attempts: 2, attemptTimeoutMs, backoff: { baseMs: 1, capMs: 2 } };
    await withServer(replies, async ({ url }) => {
      const { signal } = createCaller();
      const client = createClient({ ky: { prefix: url }, ...options });
      await client.post("orders", { json: cart, signal }).catch(() => undefined);
      expect(left()).toEqual(NOTHING);
    });
    await withServer(replies, async ({ url }) => {
      const fetch = createIdempotentFetch(options);
      await fetch(`${url}orders`, { method: "POST", body: "{}" }).catch(() => undefined);
      expect(left()).toEqual(NOTHING);
    });
  });
});
