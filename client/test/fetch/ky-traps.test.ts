/** The traps that the guide "You already use ky" names, and the line that avoids them. */
import { createClient } from "@oncekey/client";
import { createIdempotentFetch } from "@oncekey/client/fetch";
import ky from "ky";
import { describe, expect, it } from "vitest";
import { done, json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const quick = { backoff: { baseMs: 1, capMs: 2 } };
const retry = { limit: 2, methods: ["post"], statusCodes: [503], delay: () => 1 };

describe("ky with keys and without the client", () => {
  it("mints a new key for each of its own retries if its fetch or a hook makes the key", async () => {
    await withServer([json(503, {})], async ({ url, seen }) => {
      const api = ky.create({
        prefix: url,
        retry,
        fetch: async (input, init) => {
          const request = new Request(input, init);
          request.headers.set("idempotency-key", crypto.randomUUID());
          return globalThis.fetch(request);
        },
      });
      await expect(api.post("orders", { json: {} })).rejects.toThrow("503");
      expect(new Set(seen.map(({ key }) => key)).size).toBe(3);
    });
  });

  it("loses the key by its own timeout", async () => {
    const never: Reply = () => undefined;
    await withServer([never], async ({ url }) => {
      const api = ky.create({ prefix: url, fetch: createIdempotentFetch(quick), timeout: 30 });
      const error: unknown = await api.post("orders").catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: "TimeoutError" });
      expect(error).not.toHaveProperty("key");
    });
  });

  it("as the fetch below hides a 402: its HTTPError looks like the network", async () => {
    await withServer([json(402, {})], async ({ url, seen }) => {
      const below = ((input: string, init: object) => ky(input, init)) as typeof globalThis.fetch;
      const fetch = createIdempotentFetch({ ...quick, fetch: below });
      await expect(fetch(`${url}orders`, { method: "POST" })).rejects.toMatchObject({
        code: "outcome_unknown",
      });
      expect(seen).toHaveLength(4);
    });
  });

  it("has none of them without a retry and a timeout of its own", async () => {
    await withServer([reset, json(503, {}), done], async ({ url, seen }) => {
      const fetch = createIdempotentFetch(quick);
      const api = ky.create({ prefix: url, fetch, retry: 0, timeout: false });
      expect(await api.post("orders", { json: { n: 1 } }).json()).toEqual({ id: 1 });
      expect(new Set(seen.map(({ key, body }) => `${key} ${body}`)).size).toBe(1);
    });
  });
});

describe("createClient({ ky })", () => {
  it("has none of them, whatever retry and timeout the instance has", async () => {
    await withServer([json(503, {}), json(402, {})], async ({ url, seen }) => {
      const api = ky.create({ prefix: url, retry, timeout: 30 });
      const shop = createClient({ ky: api, ...quick });
      await expect(shop.post("orders")).rejects.toMatchObject({ status: 402 });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
    });
  });
});
