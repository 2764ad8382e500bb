/** Counts the visits of a run to its storage, and the decodings of a body: write-ahead needs these, and no more. */
import { asyncStorage, createClient, indexedDbStorage, memoryStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { sealBody } from "@oncekey/client/stored-body";
import * as implementation from "fake-indexeddb";
import { describe, expect, it } from "vitest";
import { done, reset, withServer } from "../support/server.ts";
import { cart, createShop } from "../support/shop.ts";

Object.assign(globalThis, implementation);

/** A storage whose visits are counted, except for the one look at all names that a page takes. */
function count(inner: OperationStorage) {
  const visits: string[] = [];
  const words = new Map<unknown, string>([
    ["getItem", "read"],
    ["setItem", "write"],
    ["removeItem", "remove"],
    ["addItem", "add"],
    ["setBytes", "write bytes"],
    ["getBytes", "read bytes"],
  ]);
  const storage = new Proxy(inner, {
    get(target, name) {
      const word = words.get(name);
      const member: unknown = Reflect.get(target, name);
      if (word === undefined || typeof member !== "function") return member;
      return (...given: unknown[]): unknown => {
        visits.push(word);
        return Reflect.apply(member, target, given);
      };
    },
  });
  const taken = (): string => visits.splice(0).join(", ");
  return { storage, taken };
}

const indexedDb = (): OperationStorage => indexedDbStorage({ name: crypto.randomUUID() });

describe.each([
  ["a storage that answers at once", memoryStorage, "read, read, write"],
  ["an asynchronous one", () => asyncStorage(memoryStorage()), "read, read, write"],
  ["one that adds atomically", indexedDb, "read, add"],
])("a run over %s", (_name, make, first) => {
  it.each([
    ["forgotten once it is done", 0, "read, remove"],
    ["remembered", 60_000, "read, write"],
  ])("visits the record as often as it has to: %s", async (_kind, rememberMs, last) => {
    const { storage, taken } = count(make());
    await withServer([done], async ({ url }) => {
      const { client, order } = createShop(url, { storage, rememberMs });
      // The look at what earlier pages left is over.
      await client.pending();
      taken();
      await order.run(cart);
      await expect.poll(() => client.pending()).toEqual([]);
      expect(taken()).toMatch(new RegExp(`^${first}, ${last}(, read)?$`));
    });
  });

  it("reads once before it sends again, and writes nothing", async () => {
    const { storage, taken } = count(make());
    await withServer([reset], async ({ url }) => {
      const { client, order } = createShop(url, { storage, attempts: 1 });
      await client.pending();
      await order.run(cart);
      taken();
      expect((await order.run(cart)).kind).toBe("unknown");
      expect(taken()).toBe("read");
    });
  });
});

describe("a body", () => {
  it("is opened once after a reload, and never in the page that sealed it", async () => {
    const memory = memoryStorage();
    const calls: string[] = [];
    const storedBody = sealBody({
      seal: (text) => (calls.push("seal"), `sealed ${text}`),
      open: (text) => (calls.push("open"), text.slice(7)),
    });
    await withServer([reset, reset, reset, done], async ({ url }) => {
      const options = { storage: memory, storedBody, attempts: 1 };
      const early = createShop(url, options);
      await early.order.run(cart);
      await early.order.run(cart);
      const [pending] = await early.client.pending();
      await pending?.resume();
      expect(calls).toEqual(["seal"]);
      const late = createShop(url, options);
      expect((await late.order.run(cart)).kind).toBe("done");
      expect(calls).toEqual(["seal", "open"]);
    });
  });

  it("of bytes is written once, and read once after a reload alone", async () => {
    const { storage, taken } = count(memoryStorage());
    const openPage = (url: string) =>
      createClient({ ky: { prefix: url }, storage, attempts: 1, rememberMs: 0 }).operation(
        "upload",
        {
          request: (body: Blob) => ({ path: "files", body }),
          identity: () => "file",
        },
      );
    const bytesIn = (visits: string): string[] =>
      visits.split(", ").filter((visit) => visit.endsWith("bytes"));
    await withServer([reset, reset, done], async ({ url }) => {
      const upload = openPage(url);
      await upload.run(new Blob(["a file"]));
      await upload.run(new Blob(["a file"]));
      expect(bytesIn(taken())).toEqual(["write bytes"]);
      expect((await openPage(url).run(new Blob(["a file"]))).kind).toBe("done");
      expect(bytesIn(taken())).toEqual(["read bytes"]);
    });
  });
});
