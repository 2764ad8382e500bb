import { describe, expect, it } from "vitest";
import type { ClientOptions } from "@oncekey/client";
import { createShop } from "../support/shop.ts";
import { done, json, reset, withServer } from "../support/server.ts";

/** Creates a client that records which of its requests may outlive the page. */
function createWatched(url: string, options: ClientOptions = {}) {
  const kept: boolean[] = [];
  const fetch: typeof globalThis.fetch = (input, init) => {
    kept.push(init?.keepalive ?? false);
    return globalThis.fetch(input, init);
  };
  return { ...createShop(url, { ky: { fetch }, ...options }), kept };
}

describe("a request that the browser finishes when the page goes away", () => {
  it("has 64 KiB at the most, together with those that are under way", async () => {
    await withServer([done], async ({ url }) => {
      const { client, kept } = createWatched(url);
      // Two bytes a letter.
      const most = "é".repeat(32_768);
      await client.post("orders", { body: most });
      await client.post("orders", { body: `${most}e` });
      await Promise.all([
        client.post("orders", { body: most }),
        client.post("orders", { body: "e" }),
      ]);
      await client.post("orders", { body: most });
      expect(kept).toEqual([true, false, true, false, true]);
    });
  });

  it("is sent again as an ordinary one where it had no answer, because it may have been refused", async () => {
    await withServer([json(503, {}), reset, done], async ({ url, seen }) => {
      const { client, kept } = createWatched(url);
      await client.post("orders", { body: "e" });
      expect(kept).toEqual([true, true, false]);
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
    });
  });

  it("is none if keepalive is false", async () => {
    await withServer([done], async ({ url }) => {
      const { client, kept } = createWatched(url, { keepalive: false });
      await client.post("orders", { body: "e" });
      expect(kept).toEqual([false]);
    });
  });
});
