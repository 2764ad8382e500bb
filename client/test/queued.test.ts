import { expect, it } from "vitest";
import { json, reset, withServer } from "./support/server.ts";
import type { Reply } from "./support/server.ts";
import { holdRemovals } from "./support/hold-removals.ts";
import { cart } from "./support/shop.ts";
import { createGate, openBrowser } from "./support/tabs.ts";

const changed = { ...cart, lines: ["pear"] };

it("a click that waits behind a run of its own tab is the one that another tab did meanwhile", async () => {
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
    expect(new Set(seen.map(({ key }) => key)).size).toBe(2);
  });
});

it("a tab that comes while a refused record is let go of is told of that refusal", async () => {
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
