import { createClient, isIdempotencyError } from "@oncekey/client";
import type { ClientOptions, OperationOptions, RunResult } from "@oncekey/client";
import { describe, expect, expectTypeOf, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { cut, done, json, withServer } from "../support/server.ts";

describe("options of the client", () => {
  const circular: Record<string, unknown> = {};
  circular["self"] = circular;

  it.each<[Record<string, unknown>, string]>([
    [{ ky: "/api" }, "ky must be an instance of ky 2, or ky's options"],
    [{ ky: () => undefined }, "ky must be an instance of ky 2, or ky's options"],
    [{ ky: { prefixUrl: "/api" } }, "ky's options (prefixUrl is prefix there), got {"],
    [{ baseUrl: "/api" }, "unknown option baseUrl; allowed are attempts"],
    [
      { storage: {} },
      "storage must be an object with getItem, setItem, removeItem and getAllKeys, got {}",
    ],
    [{ attempts: 0 }, "attempts must be a whole number from 1 to 100, got 0"],
    [{ attempts: 1.5 }, "attempts must be a whole number"],
    [{ attempts: Number.NaN }, "attempts must be a whole number from 1 to 100, got NaN"],
    [{ attempts: 4n }, "attempts must be a whole number from 1 to 100, got 4"],
    [
      { storage: circular },
      "storage must be an object with getItem, setItem, removeItem and getAllKeys, got an object",
    ],
    [
      { attemptTimeoutMs: "15s" },
      'attemptTimeoutMs must be a whole number from 1 to 600000, got "15s"',
    ],
    [{ deadlineMs: 0 }, "deadlineMs must be a whole number"],
    [{ backoff: 500 }, "backoff must be an object, got 500"],
    [{ backoff: { baseMs: 0 } }, "backoff.baseMs must be a whole number from 1 to 60000"],
    [{ backoff: { factor: 2 } }, "unknown option backoff.factor; allowed are baseMs, capMs"],
    [{ retryBudget: -1 }, "retryBudget must be a whole number"],
    [{ key: "v1" }, "key must be 'v7', 'v4' or a function"],
    [{ keyFormat: "quoted" }, "keyFormat must be 'bare' or 'structured'"],
    [{ onUnacknowledged: "throw" }, "onUnacknowledged must be 'warn' or 'refuse'"],
    [{ keepalive: 1 }, "keepalive must be true or false, got 1"],
    [{ onUnauthorized: true }, "onUnauthorized must be a function, got true"],
    [{ onAttempt: "log" }, 'onAttempt must be a function, got "log"'],
    [{ onWait: 1 }, "onWait must be a function, got 1"],
    [{ onChange: "ask" }, "onChange must be 'hold' or 'resolve-first', got \"ask\""],
    [{ owner: "alice" }, 'owner must be a function, got "alice"'],
    [{ rememberMs: -1 }, "rememberMs must be a whole number from 0 to 31536000000, got -1"],
    [{ assumedLifetimeMs: 0 }, "assumedLifetimeMs must be a whole number from 1 to 31536000000"],
    [{ statusCheck: "yes" }, 'statusCheck must be true or false, got "yes"'],
    [{ storedBody: {} }, "storedBody must be omitBody() or sealBody(), got {}"],
    [{ onWarning: "warn" }, "onWarning must be a function"],
    [{ retries: 3 }, "unknown option retries; allowed are attempts"],
  ])("are refused by name: %o", (options, message) => {
    expect(() => createClient(options as ClientOptions)).toThrow(message);
  });
});

describe("options of an operation", () => {
  const request = () => ({ path: "orders" });

  it.each<[string, Record<string, unknown>, string]>([
    ["order", {}, "order.request is required"],
    ["order", { request: undefined }, "order.request is required"],
    ["order", { request: {} }, "order.request must be a function"],
    ["order", { request, instance: "id" }, "order.instance must be a function"],
    ["order", { request, identity: {} }, "order.identity must be a function"],
    ["order", { request, key: "mine" }, "order.key must be a function"],
    ["order", { request, onSettled: true }, "order.onSettled must be a function, got true"],
    ["order", { request, attempts: 0 }, "order.attempts must be a whole number"],
    ["order", { request, onChange: "ask" }, "order.onChange must be 'hold' or 'resolve-first'"],
    ["order", { request, storage: {} }, "unknown option order.storage"],
    ["order", { request, scope: request }, "unknown option order.scope"],
    ["", { request }, "the name of an operation must be a string that is not empty"],
  ])("are refused by name: %s %j", (name, options, message) => {
    const client = createClient();
    expect(() => client.operation(name, options as unknown as OperationOptions<unknown>)).toThrow(
      message,
    );
  });

  it("are an object", () => {
    const none = undefined as unknown as OperationOptions<unknown>;
    expect(() => createClient().operation("order", none)).toThrow(
      "order must be an object, got undefined",
    );
    expect(() => createClient(null as unknown as ClientOptions)).toThrow(
      "options must be an object, got null",
    );
  });

  it("are replaced if a module is evaluated again, as under fast refresh", async () => {
    await withServer([json(503, {}), done], async ({ url, seen }) => {
      const client = createClient({ ky: { prefix: url }, attempts: 1 });
      const define = (path: string) =>
        client.operation("order", { request: () => ({ path }), instance: () => "one" });
      const first = await define("orders").run(undefined);
      const refreshed = define("orders");
      expect(await refreshed.run(undefined)).toMatchObject({ kind: "done", key: first.key });
      expect(seen).toHaveLength(2);
    });
  });

  it("reject a run whose request or instance cannot be used, and nothing is sent", async () => {
    await withServer([done], async ({ url, seen }) => {
      const client = createClient({ ky: { prefix: url } });
      let names = 0;
      const run = (spec: object, more: object = {}) => {
        const options = { request: () => ({ path: "x", ...spec }), ...more };
        return client.operation(`order-${(names += 1)}`, options).run(undefined);
      };
      const refused: [object, string][] = [
        [{ method: "GET" }, "request.method must be one of POST, PUT, PATCH, DELETE"],
        [{ path: undefined }, "request.path must be a string that is not empty, got undefined"],
        [{ path: "https://" }, "request.path must lead to a URL"],
        [{ body: new ReadableStream() }, "a FormData, got"],
        [{ body: new FormData() }, ".identity is required for a Blob or a FormData"],
        [{ body: "", json: 1 }, "either json or body, not both"],
        [{ json: () => 1 }, "request.json must be a value that JSON has"],
        [{ headers: { "Idempotency-Key": "mine" } }, "request.headers must be an object of str"],
        [{ headers: new Headers({ a: "b" }) }, "request.headers must be an object of strings"],
        [{ data: { n: 1 } }, "unknown option request.data; allowed are method, path, json, body"],
      ];
      for (const [spec, message] of refused) await expect(run(spec)).rejects.toThrow(message);
      // All instances of such a value would be the same operation.
      const alike = [undefined, () => 1, new Map([[1, 1]]), [new Set([1])], Promise.resolve(1)];
      for (const value of alike) {
        const refusal = /identity must be a JSON value, got \[object \w+\]/;
        await expect(run({}, { identity: () => value })).rejects.toThrow(refusal);
      }
      await expect(run({}, { instance: () => "" })).rejects.toThrow(
        "instance returns must be a string that is not empty",
      );
      expect(seen).toEqual([]);
    });
  });
});

describe("requests", () => {
  it("may have a colon in their path, which is no scheme there", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { client } = createShop(url);
      await client.post("orders:cancel");
      await client.post(`${url}absolute`);
      expect(seen.map(({ path }) => path)).toEqual(["/api/orders:cancel", "/api/absolute"]);
    });
  });

  it("are below ky's prefix, with or without slashes, and carry the headers that its hooks set at each attempt", async () => {
    let token = 0;
    await withServer([json(503, {}), done], async ({ url, seen }) => {
      const { client } = createShop(url.slice(0, -1), {
        ky: {
          hooks: {
            beforeRequest: [
              ({ request }) => request.headers.set("authorization", `Bearer ${(token += 1)}`),
            ],
          },
        },
      });
      await client.post("/orders?a=1", { body: "text", headers: { "X-Kind": "a" } });
      expect(
        seen.map(({ path, body, headers }) => [
          path,
          body,
          headers.authorization,
          headers["x-kind"],
        ]),
      ).toEqual([
        ["/api/orders?a=1", "text", "Bearer 1", "a"],
        ["/api/orders?a=1", "text", "Bearer 2", "a"],
      ]);
    });
  });

  it.each([
    ["bare", /^[0-9a-f-]{36}$/],
    ["structured", /^"[0-9a-f-]{36}"$/],
  ] as const)("write the key %s", async (keyFormat, pattern) => {
    await withServer([done], async ({ url, seen }) => {
      expect((await createShop(url, { keyFormat }).order.run(cart)).kind).toBe("done");
      expect(seen[0]?.key).toMatch(pattern);
    });
  });

  it.each([
    ["v7", /^[0-9a-f]{8}-[0-9a-f]{4}-7/],
    ["v4", /^[0-9a-f]{8}-[0-9a-f]{4}-4/],
    [() => "my-key", /^my-key$/],
  ] as const)("have keys of the kind that is asked for", async (key, pattern) => {
    await withServer([done], async ({ url }) => {
      expect((await createShop(url, { key }).order.run(cart)).key).toMatch(pattern);
    });
  });

  it("are not sent with a key that is none", async () => {
    await withServer([done], async ({ url, seen }) => {
      await expect(createShop(url, { key: () => "a b" }).order.run(cart)).rejects.toThrow(
        "key must return 1 to 255",
      );
      await expect(createShop(url).client.post("orders", { key: "a b" })).rejects.toThrow(
        "key must be 1 to 255",
      );
      expect(seen).toEqual([]);
    });
  });
});

describe("plain calls", () => {
  it("keep one key through their retries, and answer like fetch", async () => {
    await withServer(
      [cut, json(503, {}), json(201, { id: 5 }, { location: "/orders/5" })],
      async ({ url, seen }) => {
        const response = await createShop(url).client.post("orders", { json: { n: 1 } });
        expect([response.status, response.headers.get("location"), await response.json()]).toEqual([
          201,
          "/orders/5",
          { id: 5 },
        ]);
        expect(new Set(seen.map(({ key, body }) => `${key} ${body}`)).size).toBe(1);
      },
    );
  });

  it("have their body's readers at hand, and take a key of one's own", async () => {
    await withServer([done, done, done, json(204, undefined)], async ({ url, seen }) => {
      const { client } = createShop(url);
      expect(await client.post("a", { key: "mine" }).json()).toEqual({ id: 1 });
      expect(await client.put("b").text()).toBe('{"id":1}');
      expect((await client.patch("c")).ok).toBe(true);
      expect((await client.delete("d")).status).toBe(204);
      expect(seen.map(({ method }) => method)).toEqual(["POST", "PUT", "PATCH", "DELETE"]);
      expect(seen[0]?.key).toBe("mine");
    });
  });

  it("throw what is no success, with its problem and its key", async () => {
    await withServer([json(402, { detail: "declined", left: 3 })], async ({ url }) => {
      const error: unknown = await createShop(url)
        .client.post("orders")
        .catch((reason: unknown) => reason);
      expect(isIdempotencyError(error)).toBe(true);
      expect(error).toMatchObject({
        message: "declined",
        status: 402,
        problem: { left: 3 },
        key: expect.any(String),
      });
    });
  });
});

describe("types", () => {
  it("let the value of an operation flow through, and ask for every kind", () => {
    const { order } = createShop("https://shop.example/");
    expectTypeOf(order.run.orThrow).returns.resolves.toEqualTypeOf<{ id: number } | undefined>();
    expectTypeOf<RunResult<string>["kind"]>().toEqualTypeOf<"done" | "rejected" | "unknown">();
    // @ts-expect-error: the input is typed by the operation
    expectTypeOf(order.run).toBeCallableWith({ id: 1 });
  });
});
