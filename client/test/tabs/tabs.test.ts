import { isIdempotencyError } from "@oncekey/client";
import { describe, expect, it } from "vitest";
import { createHeld } from "../support/held.ts";
import { done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { cart } from "../support/shop.ts";
import { createGate, openBrowser, RECORD } from "../support/tabs.ts";

const gated = (gate: Promise<void>, reply: Reply): Reply => {
  return (response, seen) => gate.then(() => reply(response, seen));
};

describe("the same click in two tabs", () => {
  it("is one request, and both tabs have its result", async () => {
    const { storage, openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    await withServer([gated(opened, done)], async ({ url, seen }) => {
      const runs = [openTab(url), openTab(url), openTab(url)].map(({ order }) => order.run(cart));
      await waiting(2);
      open();
      const [first, ...others] = await Promise.all(runs);
      expect(first).toMatchObject({ kind: "done", value: { id: 1 }, replayed: false });
      expect(others).toEqual([first, first]);
      expect(seen).toHaveLength(1);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });

  it("is a new operation where the first one had settled before", async () => {
    const { openTab } = openBrowser();
    await withServer([done], async ({ url }) => {
      const [one, two] = [openTab(url), openTab(url)];
      const first = await one.order.run(cart);
      const results = [await two.order.run(cart), await one.order.run(cart), first];
      expect(new Set(results.map(({ key }) => key)).size).toBe(3);
    });
  });

  it("is not left unfinished for a third tab that starts in the meantime", async () => {
    const { openTab } = openBrowser();
    const held = createHeld();
    await withServer([held.reply], async ({ url, seen }) => {
      const run = openTab(url).order.run(cart);
      await held.arrived;
      expect(await openTab(url).client.pending()).toEqual([]);
      held.go();
      expect((await run).kind).toBe("done");
      expect(seen).toHaveLength(1);
    });
  });

  it("is one operation for the runs that waited, and another for the next click", async () => {
    const { openTab, waiting, storage } = openBrowser();
    const { opened, open } = createGate();
    await withServer([gated(opened, done), done], async ({ url, seen }) => {
      const [one, two] = [openTab(url), openTab(url)];
      const next = one.order.run(cart).then(async (first) => [first, await one.order.run(cart)]);
      await waiting(0);
      const other = two.order.run(cart);
      await waiting(1);
      open();
      const [first, second] = await next;
      expect((await other).key).toBe(first?.key);
      expect(second?.key).not.toBe(first?.key);
      expect(seen).toHaveLength(2);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });

  it("hands a refusal over as the error that it is", async () => {
    const { openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    const gone = problem(410, "idempotency_response_not_stored", {}, { originalStatus: 402 });
    const declined = json(402, { reason: "declined" });
    for (const [reply, details] of [
      [gone, { code: "idempotency_response_not_stored", status: 410, originalStatus: 402 }],
      [declined, { code: undefined, status: 402, problem: { reason: "declined" } }],
    ] as const) {
      await withServer([gated(opened, reply)], async ({ url, seen }) => {
        const [run, other] = [openTab(url).order.run(cart), openTab(url).order.run(cart)];
        await waiting(1);
        open();
        const [first, second] = [await run, await other];
        expect(second).toMatchObject({ kind: "rejected", key: first.key, error: details });
        expect(second.kind === "rejected" && isIdempotencyError(second.error)).toBe(true);
        expect(second.kind === "rejected" && second.error.message).toBe(
          first.kind === "rejected" && first.error.message,
        );
        expect(seen).toHaveLength(1);
      });
    }
  });

  it("hands over that the outcome is not known, and either tab can resume it", async () => {
    const { openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    await withServer([gated(opened, reset), done], async ({ url, seen }) => {
      const tabs = [openTab(url, { attempts: 1 }), openTab(url, { attempts: 1 })];
      const runs = tabs.map(({ order }) => order.run(cart));
      await waiting(1);
      open();
      const [first, second] = await Promise.all(runs);
      expect([first?.kind, second?.kind, seen.length]).toEqual(["unknown", "unknown", 1]);
      expect(second?.kind === "unknown" && second.error.code).toBe("outcome_unknown");
      const resumed = second?.kind === "unknown" && (await second.resume());
      expect(resumed).toMatchObject({ kind: "done", key: first?.key });
    });
  });
});

describe("two tabs with different carts of one instance", () => {
  it("take turns, each with a key of its own", async () => {
    const { openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    await withServer([gated(opened, done), done], async ({ url, seen }) => {
      const apple = openTab(url).order.run(cart);
      await waiting(0);
      await expect.poll(() => seen.length).toBe(1);
      const pear = openTab(url).order.run({ ...cart, lines: ["pear"] });
      await waiting(1);
      expect(seen).toHaveLength(1);
      open();
      expect((await apple).key).not.toBe((await pear).key);
      expect(seen.map(({ body }) => body)).toEqual(['{"lines":["apple"]}', '{"lines":["pear"]}']);
    });
  });

  it("send the second under the key of the first while that is unresolved", async () => {
    const { openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    await withServer([gated(opened, reset), done], async ({ url, seen }) => {
      const apple = openTab(url, { attempts: 1 }).order.run(cart);
      await expect.poll(() => seen.length).toBe(1);
      const pear = openTab(url).order.run({ ...cart, lines: ["pear"] });
      await waiting(1);
      open();
      expect([(await apple).kind, (await pear).kind]).toEqual(["unknown", "done"]);
      const { key } = await apple;
      expect(seen.map((one) => one.key)).toEqual([key, key]);
    });
  });
});

describe("three tabs of which the second settles what the first could not", () => {
  it("leave the third with the result of the second", async () => {
    const { openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    await withServer([gated(opened, reset), done], async ({ url, seen }) => {
      const options = { attempts: 1, onChange: "resolve-first" } as const;
      const runs = [cart, { ...cart, lines: ["pear"] }, cart].map(async (one, position) => {
        await waiting(Math.max(0, position - 1));
        if (position > 0) await expect.poll(() => seen.length).toBe(1);
        return openTab(url, options).order.run(one);
      });
      await waiting(2);
      open();
      const [first, second, third] = await Promise.all(runs);
      expect([first?.kind, second?.kind]).toEqual(["unknown", "rejected"]);
      expect(third).toMatchObject({ kind: "done", key: first?.key });
      expect(seen.map(({ key }) => key)).toEqual([first?.key, first?.key]);
    });
  });
});

describe("a tab that stops", () => {
  it("stops only its own waiting", async () => {
    const { openTab, waiting } = openBrowser();
    const { opened, open } = createGate();
    await withServer([gated(opened, done)], async ({ url, seen }) => {
      const run = openTab(url).order.run(cart);
      await expect.poll(() => seen.length).toBe(1);
      const stop = new AbortController();
      const other = openTab(url).order.run(cart, { signal: stop.signal });
      await waiting(1);
      stop.abort();
      const stopped = await other;
      open();
      expect(stopped, "the other tab's request may arrive").toMatchObject({ kind: "unknown" });
      expect(await run).toMatchObject({ kind: "done", key: stopped.key });
      expect(stopped.kind === "unknown" && (await stopped.resume()).key).toBe(stopped.key);
    });
  });

  it("hands its place on to the waiting tab, with the same key", async () => {
    const { openTab, waiting, storage } = openBrowser();
    await withServer([() => undefined, done], async ({ url, seen }) => {
      const stop = new AbortController();
      const run = openTab(url).order.run(cart, { signal: stop.signal });
      await expect.poll(() => seen.length).toBe(1);
      const other = openTab(url).order.run(cart);
      await waiting(1);
      stop.abort();
      expect(await run).toMatchObject({ kind: "unknown" });
      expect(await other).toMatchObject({ kind: "done", key: (await run).key });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });
});

describe("a tab that stops while two others wait", () => {
  it("hands its place on to one of them, which notifies the other of the end", async () => {
    const { openTab, waiting, storage } = openBrowser();
    await withServer([() => undefined, done], async ({ url, seen }) => {
      const stop = new AbortController();
      const run = openTab(url).order.run(cart, { signal: stop.signal });
      await expect.poll(() => seen.length).toBe(1);
      const others = [openTab(url), openTab(url)].map(({ order }) => order.run(cart));
      await waiting(2);
      stop.abort();
      const [second, third] = await Promise.all(others);
      expect(second).toMatchObject({ kind: "done", key: (await run).key });
      expect([third, seen.length]).toEqual([second, 2]);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });
});

describe("what another tab runs", () => {
  it("is not pending, and a resume in both is one request", async () => {
    const { openTab, waiting, storage } = openBrowser();
    const { opened, open } = createGate();
    await withServer([reset, gated(opened, done)], async ({ url, seen }) => {
      const [one, two] = [openTab(url, { attempts: 1 }), openTab(url)];
      await one.order.run(cart);
      const [mine] = await one.client.pending();
      const [theirs] = await two.client.pending();
      const [first, second] = [mine?.resume(), theirs?.resume()];
      await waiting(1);
      expect([await one.client.pending(), await two.client.pending()]).toEqual([[], []]);
      open();
      expect(await first).toMatchObject({ kind: "done", key: mine?.key });
      expect(await second).toEqual(await first);
      expect(seen).toHaveLength(2);
      await expect.poll(() => storage.getItem(RECORD)).toBeNull();
    });
  });
});
