import ky from "ky";
import type { Hooks, KyInstance } from "ky";
import { createClient } from "@oncekey/client";
import { Agent, fetch as undiciFetch } from "undici";
import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { cut, done, json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const quick = { backoff: { baseMs: 1, capMs: 2 } };

/** A shop on an instance with these hooks. */
const withHooks = (url: string, hooks: Hooks, more: object = {}) =>
  createShop(url, { ky: ky.create({ hooks, ...more }) });

describe("a ky instance", () => {
  it("runs its beforeRequest hooks at each attempt, with the same key and bytes", async () => {
    let token = 0;
    const beforeRequest: Hooks["beforeRequest"] = [
      ({ request }) => request.headers.set("authorization", `Bearer ${(token += 1)}`),
    ];
    await withServer([reset, json(503, {}), done], async ({ url, seen }) => {
      const { order } = withHooks(url, { beforeRequest });
      const { key, kind } = await order.run(cart);
      expect(kind).toBe("done");
      expect(
        seen.map(({ headers, key: sent, body }) => [headers.authorization, sent, body]),
      ).toEqual([1, 2, 3].map((n) => [`Bearer ${n}`, key, '{"lines":["apple"]}']));
    });
  });

  it("cannot change method, key, body or content type, by whatever hook", async () => {
    const hooks: Hooks = {
      init: [
        (options) => {
          Object.assign(options, { method: "PUT", json: { meddled: 1 }, timeout: 1 });
        },
      ],
      beforeRequest: [
        ({ request }) => {
          const headers = { "idempotency-key": "mine", "content-type": "text/plain", "x-own": "1" };
          return new Request(request.url, { method: "PATCH", body: "meddled", headers });
        },
      ],
    };
    await withServer([reset, done], async ({ url, seen }) => {
      const { key } = await withHooks(url, hooks).order.run(cart);
      expect(seen).toHaveLength(2);
      for (const { method, key: sent, body, headers } of seen) {
        expect([method, sent, body, headers["content-type"], headers["x-own"]]).toEqual([
          "POST",
          key,
          '{"lines":["apple"]}',
          "application/json",
          "1",
        ]);
      }
    });
  });

  it("with a retry and timeouts of its own leaves both to the client", async () => {
    const api = ky.create({
      retry: { limit: 5, methods: ["post"], statusCodes: [503], delay: () => 0 },
      timeout: 1,
      totalTimeout: 2,
    });
    const slow: Reply = (response, seen) => setTimeout(() => done(response, seen), 30);
    await withServer([json(503, {}), slow], async ({ url, seen }) => {
      const result = await createShop(url, { ky: api, attempts: 2 }).order.run(cart);
      expect(result).toMatchObject({ kind: "done", attempts: 2 });
      expect(seen).toHaveLength(2);
    });
  });

  it("renews a token by ky.retry(): the same key and bytes, in one attempt", async () => {
    let token = "old";
    const authorize = ({ request }: { request: Request }): void =>
      request.headers.set("authorization", token);
    const hooks: Hooks = {
      beforeRequest: [authorize],
      afterResponse: [
        ({ response }) => {
          if (response.status !== 401) return undefined;
          token = "new";
          return ky.retry();
        },
      ],
      beforeRetry: [authorize],
    };
    await withServer([json(401, {}), done], async ({ url, seen }) => {
      const result = await withHooks(url, hooks).order.run(cart);
      expect(result).toMatchObject({ kind: "done", attempts: 1 });
      expect(seen.map(({ headers, key }) => [headers.authorization, key])).toEqual([
        ["old", result.key],
        ["new", result.key],
      ]);
    });
  });

  it("whose repeat after a 401 is lost leaves the outcome open: the client retries with the same key", async () => {
    const afterResponse: Hooks["afterResponse"] = [
      ({ response }) => (response.status === 401 ? ky.retry() : undefined),
    ];
    await withServer([json(401, {}), reset, done], async ({ url, seen }) => {
      const result = await withHooks(url, { afterResponse }).order.run(cart);
      expect(result).toMatchObject({ kind: "done", attempts: 2 });
      expect(seen.map(({ key }) => key)).toEqual(Array(3).fill(result.key));
    });
  });

  it("that forces a retry without end ends with the second answer", async () => {
    const afterResponse: Hooks["afterResponse"] = [() => ky.retry()];
    await withServer([json(401, {})], async ({ url, seen }) => {
      const { order } = withHooks(url, { afterResponse });
      expect(await order.run(cart)).toMatchObject({ kind: "rejected", error: { status: 401 } });
      expect(seen).toHaveLength(2);
    });
  });

  it("is judged by the answer of the wire, and gives the value of its hooks", async () => {
    const afterResponse: Hooks["afterResponse"] = [
      async ({ response }) => {
        if (!response.ok) return Response.json({ hidden: true });
        const { data } = await response.json<{ data: unknown }>();
        return Response.json(data);
      },
    ];
    const enveloped = json(201, { data: { id: 9 } });
    await withServer([json(503, {}), enveloped], async ({ url }) => {
      const { order, warnings } = withHooks(url, { afterResponse });
      const result = await order.run(cart);
      expect(result).toMatchObject({ kind: "done", attempts: 2, status: 201, value: { id: 9 } });
      expect(warnings).toEqual([]);
    });
  });

  it("parses the value by its parseJson, also that of a plain call", async () => {
    const parseJson = (text: string) =>
      JSON.parse(text, (_name, value: unknown) =>
        typeof value === "number" ? BigInt(value) : value,
      ) as unknown;
    await withServer([done], async ({ url }) => {
      const { order, client } = createShop(url, { ky: { parseJson } });
      expect(await order.run(cart)).toMatchObject({ kind: "done", value: { id: 1n } });
      expect(await client.post("orders").json()).toEqual({ id: 1n });
    });
  });

  it.each<[string, Hooks]>([
    ["beforeRequest", { beforeRequest: [() => Promise.reject(new Error("no session"))] }],
    [
      "init",
      {
        init: [
          () => {
            throw new Error("no session");
          },
        ],
      },
    ],
  ])("whose %s hook throws is asked once: nothing was sent, rejected", async (_name, hooks) => {
    let calls = 0;
    const count = { init: [() => void (calls += 1), ...(hooks.init ?? [])] };
    await withServer([done], async ({ url, seen }) => {
      const { order, client } = withHooks(url, { ...hooks, ...count });
      expect(await order.run(cart)).toMatchObject({
        kind: "rejected",
        attempts: 1,
        error: { message: expect.stringContaining("no session"), cause: { message: "no session" } },
      });
      expect([calls, seen, await client.pending()]).toEqual([1, [], []]);
    });
  });

  it("whose hook throws after a lost reply ends in unknown, with the key", async () => {
    let calls = 0;
    const beforeRequest = [
      () => {
        if ((calls += 1) > 1) throw new Error("no session");
      },
    ];
    await withServer([reset, done], async ({ url, seen }) => {
      const { order, client } = withHooks(url, { beforeRequest });
      const { kind, key } = await order.run(cart);
      expect([kind, calls, seen.length]).toEqual(["unknown", 2, 1]);
      expect(await client.pending()).toMatchObject([{ key }]);
    });
  });

  it("whose afterResponse hook throws does not hide what the server answered", async () => {
    const afterResponse = [() => Promise.reject(new Error("a bug"))];
    await withServer([json(402, {})], async ({ url, seen }) => {
      const { order } = withHooks(url, { afterResponse });
      expect(await order.run(cart)).toMatchObject({ kind: "rejected", error: { status: 402 } });
      expect(seen).toHaveLength(1);
    });
  });

  it("whose hook answers by itself sends nothing, and that answer counts", async () => {
    const beforeRequest = [() => Response.json({ id: 2 }, { status: 201 })];
    await withServer([done], async ({ url, seen }) => {
      const { order } = withHooks(url, { beforeRequest });
      expect(await order.run(cart)).toMatchObject({ kind: "done", value: { id: 2 } });
      expect(seen).toEqual([]);
    });
  });

  it("whose own signal aborts is not tried again", async () => {
    const controller = new AbortController();
    await withServer([() => controller.abort(new Error("gone"))], async ({ url, seen }) => {
      const { order } = createShop(url, { ky: ky.create({ signal: controller.signal }) });
      expect(await order.run(cart)).toMatchObject({
        kind: "unknown",
        attempts: 1,
        error: { cause: { message: "gone" } },
      });
      expect(seen).toHaveLength(1);
    });
  });

  it("makes credentials, mode and what only its fetch knows reach that fetch", async () => {
    const given: object[] = [];
    const api: KyInstance = ky.create({
      credentials: "include",
      fetch: async (input, init) => {
        given.push({ input, ...init });
        return Response.json({}, { status: 201 });
      },
    });
    const options = { ky: api.extend({ next: { tags: ["a"] } } as object), ...quick };
    await createShop("https://shop.example/api", options).order.run(cart);
    expect(given).toMatchObject([
      {
        input: "https://shop.example/api/orders",
        method: "POST",
        credentials: "include",
        body: '{"lines":["apple"]}',
        next: { tags: ["a"] },
      },
    ]);
  });

  it("works with a fetch of another undici and its agent", async () => {
    const dispatcher = new Agent();
    const fetch = ((url: string, init: object) =>
      undiciFetch(url, { ...init, dispatcher })) as unknown as typeof globalThis.fetch;
    await withServer([cut, done], async ({ url }) => {
      expect(await createShop(url, { ky: { fetch } }).order.run(cart)).toMatchObject({
        kind: "done",
        attempts: 2,
        value: { id: 1 },
      });
    });
    await dispatcher.destroy();
  });

  it("is the client's for reads and for writes: one base for both", async () => {
    await withServer([done], async ({ url, seen }) => {
      const api = ky.create({ prefix: url });
      await api.get("orders/1");
      await createClient({ ky: api }).post("orders");
      expect(seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
        "GET /api/orders/1",
        "POST /api/orders",
      ]);
    });
  });
});
