import { expect, it } from "vitest";
import { json, reset, withServer } from "./support/server.ts";
import type { Reply } from "./support/server.ts";
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
