import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { createHeld } from "../support/held.ts";
import { holdRemovals } from "../support/hold-removals.ts";
import { cart } from "../support/shop.ts";
import { createGate, openBrowser, RECORD } from "../support/tabs.ts";

const changed = { ...cart, lines: ["pear"] };

it("a click that waits behind a run of its own tab joins the operation that another tab ran in the meantime", async () => {
  const { openTab, waiting } = openBrowser();
  const { opened, open } = createGate();
  const gated: Reply = (...given) => opened.then(() => json(201, { id: 1 })(...given));
  await withServer([reset, gated, json(201, { id: 2 })], async ({ url, seen }) => {
    const [one, two] = [openTab(url, { attempts: 1 }), openTab(url)];
    const first = await one.order.run(cart);
    if (first.kind !== "unknown") throw new Error(first.kind);
    const theirs = two.order.run(changed);
    await expect.poll(() => seen.length).toBe(2);
    const [resumed, ours] = [first.resume(), one.order.run(changed)];
    await waiting(1);
    open();
    expect(await resumed).toMatchObject({ kind: "done", key: first.key });
    expect((await ours).key).toBe((await theirs).key);
    expect(new Set(seen.map(({ key }) => key))).toEqual(new Set([first.key]));
  });
});

it("a tab that comes while a refused record is released gets that refusal", async () => {
  const { openTab, waiting, storage } = openBrowser();
  const held = holdRemovals(storage);
  await withServer([json(402, { message: "declined" }), json(201, { id: 2 })], async (shop) => {
    const one = openTab(shop.url, { storage: held.storage }).order.run(cart);
    await held.asked;
    const two = openTab(shop.url).order.run(cart);
    await waiting(1);
    held.open();
    const [first, second] = await Promise.all([one, two]);
    expect([first.kind, second.kind]).toEqual(["rejected", "rejected"]);
    expect(second.key).toBe(first.key);
    expect(shop.seen).toHaveLength(1);
  });
});

it("what is given up is not the changed order that is being sent under its key", async () => {
  const { openTab, storage } = openBrowser();
  const held = createHeld();
  await withServer([reset, held.reply], async ({ url, seen }) => {
    const { order } = openTab(url, { attempts: 1, onChange: "hold" });
    const first = await order.run(cart);
    if (first.kind !== "unknown") throw new Error(first.kind);
    const second = order.run(changed);
    await held.arrived;
    const forgetting = first.forget();
    await sleep(20);
    // As a page that dies now leaves it behind.
    const left = await storage.getItem(RECORD);
    held.go();
    expect(JSON.parse(left ?? "null")).toMatchObject({ key: first.key });
    expect(await second).toMatchObject({ kind: "done", key: first.key });
    await forgetting;
    expect(await storage.getItem(RECORD)).toBeNull();
    expect(new Set(seen.map(({ key }) => key))).toEqual(new Set([first.key]));
  });
});

it("what is given up leaves what has been sent under its key since, as long as that is unresolved", async () => {
  const { openTab } = openBrowser();
  await withServer([reset, reset, json(201, { id: 2 })], async ({ url }) => {
    const { order, client } = openTab(url, { attempts: 1, onChange: "hold" });
    const first = await order.run(cart);
    if (first.kind !== "unknown") throw new Error(first.kind);
    await order.run(changed);
    await first.forget();
    expect(await client.pending()).toMatchObject([{ key: first.key }]);
    expect(await order.run(changed)).toMatchObject({ kind: "done", key: first.key });
  });
});

it("a click that comes after another tab's announced end is a new operation, whenever the message arrives", async () => {
  const { openTab, storage, waiting, channelName } = openBrowser();
  const held = holdRemovals(storage);
  await withServer([json(201, { id: 1 }), json(201, { id: 2 })], async ({ url, seen }) => {
    const first = await openTab(url, { storage: held.storage }).order.run(cart);
    await held.asked;
    // The first tab has announced its end, and still removes its record.
    await sleep(5);
    const second = openTab(url).order.run(cart);
    await waiting(1);
    const late = new BroadcastChannel(channelName);
    late.postMessage({
      id: RECORD,
      operation: "order",
      instance: cart.id,
      key: first.key,
      at: Date.now() - 1_000,
      identity: identityIn(await storage.getItem(RECORD)),
      result: {
        kind: "done",
        key: first.key,
        value: { id: 1 },
        replayed: false,
        status: 201,
        attempts: 1,
      },
    });
    await sleep(20);
    held.open();
    expect(await second).toMatchObject({ kind: "done", value: { id: 2 } });
    expect(new Set(seen.map(({ key }) => key)).size).toBe(2);
    late.close();
  });
});

it("a click of the same moment takes what another tab announces, also if that tab's clock is an hour behind", async () => {
  const { openTab, storage, waiting, channelName } = openBrowser();
  const held = holdRemovals(storage);
  await withServer([json(201, { id: 1 }), json(201, { id: 2 })], async ({ url, seen }) => {
    const first = await openTab(url, { storage: held.storage }).order.run(cart);
    await held.asked;
    const second = openTab(url).order.run(cart);
    await waiting(1);
    const behind = new BroadcastChannel(channelName);
    behind.postMessage({
      id: RECORD,
      operation: "order",
      instance: cart.id,
      key: first.key,
      at: Date.now() - 3_600_000,
      identity: identityIn(await storage.getItem(RECORD)),
      result: {
        kind: "done",
        key: first.key,
        value: { id: 1 },
        replayed: false,
        status: 201,
        attempts: 1,
      },
    });
    await sleep(20);
    held.open();
    expect((await second).key).toBe(first.key);
    expect(seen).toHaveLength(1);
    behind.close();
  });
});

function identityIn(record: string | null): string {
  return (JSON.parse(record ?? "{}") as { readonly identity: string }).identity;
}
