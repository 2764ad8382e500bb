import { createClient, memoryStorage } from "@oncekey/client";
import type { Client, ClientOptions, OperationStorage } from "@oncekey/client";
import { describe, expect, it } from "vitest";
import { done, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";
import { createGate, openBrowser } from "../support/tabs.ts";

const once = { attempts: 1 };

describe("after another user has signed in", () => {
  async function leaveUnresolved(url: string, storage: OperationStorage) {
    let user: string | undefined = "alice";
    const shop = createShop(url, { ...once, storage, owner: () => user });
    const left = await shop.order.run(cart);
    if (left.kind !== "unknown") throw new Error(left.kind);
    return { ...shop, left, signIn: (name: string | undefined) => void (user = name) };
  }

  it("nothing of the first one is listed, joined, resumed or sent", async () => {
    const storage = memoryStorage();
    await withServer([reset, done], async ({ url, seen }) => {
      const { client, order, left, signIn } = await leaveUnresolved(url, storage);
      signIn("bob");
      expect(await client.pending()).toEqual([]);
      await client.resumeAll();
      expect(seen).toHaveLength(1);
      expect(order.observe(cart).getState()).toEqual({ kind: "idle" });
      const own = await order.run(cart);
      expect(own).toMatchObject({ kind: "done" });
      expect(own.key).not.toBe(left.key);
      signIn("alice");
      expect((await client.pending()).map(({ key }) => key)).toEqual([left.key]);
    });
  });

  it("a handle of the first one sends nothing", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      const { left, signIn } = await leaveUnresolved(url, memoryStorage());
      signIn("bob");
      expect(await left.resume()).toMatchObject({ kind: "unknown", key: left.key });
      expect(seen).toHaveLength(1);
      signIn("alice");
      expect(await left.resume()).toMatchObject({ kind: "done", key: left.key });
    });
  });

  it("a run that waits for its next attempt stops", async () => {
    let user = "alice";
    await withServer([reset, done], async ({ url, seen }) => {
      const { order } = createShop(url, { owner: () => user });
      const result = await order.run(cart, { onWait: () => void (user = "bob") });
      expect(result).toMatchObject({
        kind: "unknown",
        error: { cause: { message: "The signed-in user changed" } },
      });
      expect(seen).toHaveLength(1);
    });
  });

  it("a tab of the second one hears nothing of the first one's", async () => {
    const { openTab } = openBrowser();
    const settled: unknown[] = [];
    await withServer([done], async ({ url }) => {
      const { client } = openTab(url, { owner: () => "bob" });
      client.operation("order", {
        request: () => ({ path: "orders" }),
        instance: () => cart.id,
        onSettled: (result) => settled.push(result),
      });
      await openTab(url, { owner: () => "alice" }).order.run(cart);
      // Messages keep their order: the second one arrives after the first.
      await openTab(url, { owner: () => "bob" }).order.run(cart);
      await expect.poll(() => settled.length).toBe(1);
    });
  });

  it.each([
    ["a renewal of the session", () => undefined],
    ["the start-up line of the second user", (client: Client) => client.resumeAll()],
    ["the list of the second user", (client: Client) => client.pending()],
  ])("and the first one again, within a hook of ky: %s", async (_name, atSignIn) => {
    let user = "alice";
    let switchUsers = async (): Promise<void> => undefined;
    await withServer([done], async ({ url, seen }) => {
      const { client, order } = createShop(url, {
        owner: () => user,
        ky: {
          hooks: {
            beforeRequest: [
              async ({ request }) => {
                await switchUsers();
                request.headers.set("authorization", user);
              },
            ],
          },
        },
      });
      let token = "";
      switchUsers = async () => {
        switchUsers = async () => undefined;
        user = "bob";
        await atSignIn(client);
        token = user;
        user = "alice";
      };
      const result = await order.run(cart);
      if (atSignIn.length > 0) {
        // The hook may have read the second user's token.
        expect([token, seen.length]).toEqual(["bob", 0]);
        expect(result).toMatchObject({
          kind: "rejected",
          error: { cause: { message: "The signed-in user changed" } },
        });
      } else {
        // No call reached the client in between: `forgetAll()` at signing out is such a call.
        expect([result.kind, seen.length]).toEqual(["done", 1]);
      }
    });
  });

  it("owner must return a name", async () => {
    const { order } = createShop("https://shop.example/", { owner: () => "" });
    await expect(order.run(cart)).rejects.toThrow("what owner returns must be a string");
  });
});

describe("forgetAll", () => {
  it("deletes everyone's records of this client, and nothing of another application", async () => {
    const storage = memoryStorage();
    await withServer([reset], async ({ url }) => {
      let user = "alice";
      const { client, order } = createShop(url, { ...once, storage, owner: () => user });
      await order.run(cart);
      user = "bob";
      await order.run(cart);
      await storage.setItem("cart", "mine");
      await client.forgetAll();
      expect(await storage.getAllKeys()).toEqual(["cart"]);
      expect(order.observe(cart).getState()).toEqual({ kind: "idle" });
    });
  });

  it("deletes the records of one owner", async () => {
    const storage = memoryStorage();
    await withServer([reset], async ({ url }) => {
      let user = "alice";
      const { client, order } = createShop(url, { ...once, storage, owner: () => user });
      await order.run(cart);
      user = "bob";
      const { key } = await order.run(cart);
      await client.forgetAll({ owner: "alice" });
      expect((await client.pending()).map((one) => one.key)).toEqual([key]);
      expect(await storage.getAllKeys()).toHaveLength(1);
    });
  });

  it("stops what runs, and leaves no record of it", async () => {
    const storage = memoryStorage();
    await withServer([() => undefined], async ({ url, seen }) => {
      const { client, order } = createShop(url, { storage });
      const run = order.run(cart);
      await expect.poll(() => seen.length).toBe(1);
      await client.forgetAll();
      expect(await run).toMatchObject({
        kind: "unknown",
        error: { cause: { message: "Signed out" } },
      });
      expect(await storage.getAllKeys()).toEqual([]);
    });
  });

  it("leaves no record of what another tab is sending", async () => {
    const { openTab, storage } = openBrowser();
    const { opened, open } = createGate();
    const gated: Reply = async (response) => {
      await opened;
      response.destroy();
    };
    await withServer([gated], async ({ url, seen }) => {
      const run = openTab(url, once).order.run(cart);
      await expect.poll(() => seen.length).toBe(1);
      await openTab(url).client.forgetAll();
      open();
      expect((await run).kind).toBe("unknown");
      expect(await storage.getAllKeys()).toEqual([]);
    });
  });

  it("checks its option by name", async () => {
    const { client } = createShop("https://shop.example/");
    await expect(client.forgetAll({ owner: 1 } as never)).rejects.toThrow(
      "forgetAll.owner must be",
    );
  });
});

describe("two applications on one origin", () => {
  const options = (storage: OperationStorage): ClientOptions => ({ ...once, storage });

  it("do not meet if their APIs differ", async () => {
    const storage = memoryStorage();
    await withServer([reset, done], async ({ url, seen }) => {
      const a = createShop(`${url}a/`, options(storage));
      const b = createShop(`${url}b/`, options(storage));
      const { key } = await a.order.run(cart);
      expect(await b.client.pending()).toEqual([]);
      const own = await b.order.run({ ...cart, lines: ["pear"] });
      expect(own.kind).toBe("done");
      expect(own.key).not.toBe(key);
      expect(seen.map(({ path }) => path)).toEqual(["/api/a/orders", "/api/b/orders"]);
    });
  });

  it("do not meet if their namespaces differ, and go on with their own after the API moved", async () => {
    const storage = memoryStorage();
    const named = (namespace: string) => options({ ...storage, namespace });
    await withServer([reset, done], async ({ url }) => {
      const { key } = await createShop(url, named("a")).order.run(cart);
      expect(await createShop(url, named("b")).client.pending()).toEqual([]);
      const [left] = await createShop(`${url}v2/`, named("a")).client.pending();
      expect(left?.key).toBe(key);
    });
  });
});

describe("names of records", () => {
  it("are short and reveal nothing, whatever the instance is", async () => {
    const storage = memoryStorage();
    await withServer([reset], async ({ url }) => {
      const { order } = createShop(url, { ...once, storage, owner: () => "alice" });
      await order.run({ id: "x".repeat(100_000), lines: ["apple"] });
      const [name = ""] = await storage.getAllKeys();
      expect(name).toMatch(/^oncekey:[0-9a-f]{16}:[0-9a-f]{16}:[0-9a-f]{32}$/);
    });
  });

  it("and identities make an entry little larger than its request", async () => {
    const storage = memoryStorage();
    const lines = Array.from({ length: 1_000 }, (_, index) => ({ sku: `sku-${index}`, note: "ü" }));
    await withServer([reset], async ({ url, seen }) => {
      const client = createClient({ ...once, ky: { prefix: url }, storage, onWarning() {} });
      await client.operation("order", { request: () => ({ path: "orders", json: lines }) }).run();
      const [name = ""] = await storage.getAllKeys();
      const entry = name + (await storage.getItem(name));
      expect(entry.length / (seen[0]?.body.length ?? 0)).toBeLessThan(1.4);
    });
  });
});
