import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { createIdempotentFetch } from "@oncekey/client/fetch";
import axios from "axios";
import createClient from "openapi-fetch";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { cut, done, json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

/** Creates an order the way a generated client does, and resolves to what it hands to its caller. */
type CreateOrder = (
  baseUrl: string,
  fetch: typeof globalThis.fetch,
  headers?: Record<string, string>,
) => Promise<Handed>;

interface Handed {
  readonly data: unknown;
  readonly error: unknown;
}

const order = { lines: ["apple"] };

interface Paths {
  readonly "/orders": {
    readonly post: {
      readonly requestBody: { readonly content: { readonly "application/json": typeof order } };
      readonly responses: {
        readonly 201: { readonly content: { readonly "application/json": { id: number } } };
        readonly 402: { readonly content: { readonly "application/json": { no: string } } };
      };
    };
  };
}

const withOpenapiFetch: CreateOrder = async (baseUrl, fetch, headers = {}) => {
  const api = createClient<Paths>({ baseUrl, fetch });
  try {
    const { data, error } = await api.POST("/orders", { body: order, headers });
    return { data, error };
  } catch (error) {
    return { data: undefined, error };
  }
};

const withAxios: CreateOrder = async (baseURL, fetch, headers = {}) => {
  const api = axios.create({ baseURL, adapter: "fetch", env: { fetch } });
  try {
    return { data: (await api.post("orders", order, { headers })).data, error: undefined };
  } catch (error) {
    const { response } = error as { response?: { data: unknown } };
    return { data: undefined, error: response?.data ?? error };
  }
};

const GENERATOR = join(import.meta.dirname, "../hey-api");
let generated = "";
beforeAll(async () => {
  generated = await mkdtemp(join(tmpdir(), "hey-api-"));
  const bin = join(GENERATOR, "node_modules/.bin/openapi-ts");
  await promisify(execFile)(bin, ["-i", join(GENERATOR, "openapi.json"), "-o", generated], {
    cwd: GENERATOR,
  });
});
afterAll(() => rm(generated, { recursive: true }));

const withHeyApi: CreateOrder = async (baseUrl, fetch, headers = {}) => {
  const { client } = await import(join(generated, "client.gen.ts"));
  const { createOrder } = await import(join(generated, "sdk.gen.ts"));
  client.setConfig({ baseUrl, fetch });
  const { data, error } = await createOrder({ body: order, headers });
  return { data, error };
};

describe.each<[string, CreateOrder]>([
  ["openapi-fetch", withOpenapiFetch],
  ["axios", withAxios],
  ["hey-api's client", withHeyApi],
])("%s", (_name, createOrder) => {
  const run = async (
    replies: readonly Reply[],
    use: (handed: Handed, seen: readonly { key: string | undefined; body: string }[]) => void,
    headers?: Record<string, string>,
  ): Promise<void> => {
    const fetch = createIdempotentFetch({ attempts: 3, backoff: { baseMs: 1, capMs: 2 } });
    await withServer(replies, async ({ url, seen }) => {
      use(await createOrder(url.replace(/\/$/, ""), fetch, headers), seen);
    });
  };

  it("makes one order of a lost and a cut-off reply: one key, the same bytes, one answer", async () => {
    await run([reset, cut, done], ({ data, error }, seen) => {
      expect([data, error]).toEqual([{ id: 1 }, undefined]);
      const first = { key: expect.stringMatching(/^\S{36}$/), body: '{"lines":["apple"]}' };
      expect(seen).toMatchObject([first, first, first]);
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
    });
  });

  it("hands on a refusal as it does any other", async () => {
    await run([json(402, { no: "money" })], ({ data, error }, seen) => {
      expect([data, error]).toEqual([undefined, { no: "money" }]);
      expect(seen).toHaveLength(1);
    });
  });

  it("shows where the outcome is not known, with the key to go on with", async () => {
    await run([reset], ({ error }, seen) => {
      expect(unwrapped(error)).toMatchObject({ code: "outcome_unknown", key: seen[0]?.key });
      expect(seen).toHaveLength(3);
    });
  });

  it("sends a key of the caller's own", async () => {
    const headers = { "Idempotency-Key": "order-1" };
    await run([done], (_handed, seen) => expect(seen[0]?.key).toBe("order-1"), headers);
  });
});

/** Axios wraps what its adapter throws. */
function unwrapped(error: unknown): unknown {
  return axios.isAxiosError(error) ? error.cause : error;
}
