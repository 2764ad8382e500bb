import { createIdempotentFetch } from "@oncekey/client/fetch";
import type { FetchOptions, IdempotentFetch, Warning } from "@oncekey/client/fetch";
import { Agent, fetch as undiciFetch } from "undici";
import { describe, expect, it, vi } from "vitest";
import { cut, done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply, ScriptedServer } from "../support/server.ts";

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7/;

interface Tried extends ScriptedServer {
  readonly fetch: IdempotentFetch;
  readonly warnings: readonly Warning[];
}

/** Runs `use` with a fetch that is quick to retry, against a scripted server. */
async function withFetch(
  replies: readonly Reply[],
  use: (tried: Tried) => Promise<void>,
  options: FetchOptions = {},
): Promise<void> {
  const warnings: Warning[] = [];
  await withServer(replies, async (server) => {
    const fetch = createIdempotentFetch({
      backoff: { baseMs: 1, capMs: 2 },
      onWarning: (warning) => warnings.push(warning),
      ...options,
    });
    await use({ ...server, fetch, warnings });
  });
}

const post = (body: BodyInit): RequestInit => ({ method: "POST", body });
const orders = (url: string): string => `${url}orders`;

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: unknown) => error,
  );
}

describe("a drop-in fetch", () => {
  it("sends a POST again with the same key until it is answered, and resolves to the server's own response", async () => {
    await withFetch([reset, cut, json(503, {}), done], async ({ fetch, url, seen, warnings }) => {
      const response = await fetch(orders(url), post('{"a":1}'));
      expect([response.status, response.url, await response.json()]).toEqual([
        201,
        orders(url),
        { id: 1 },
      ]);
      expect(seen.map(({ method, body }) => [method, body])).toEqual(
        Array.from({ length: 4 }, () => ["POST", '{"a":1}']),
      );
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
      expect(seen[0]?.key).toMatch(UUID_V7);
      expect(warnings).toEqual([]);
    });
  });

  it.each([400, 401, 402, 403, 404, 409, 412, 422, 501])(
    "resolves to %i, which is an answer, and sends nothing again",
    async (status) => {
      await withFetch([json(status, { no: status })], async ({ fetch, url, seen }) => {
        const response = await fetch(orders(url), post("{}"));
        expect([response.ok, response.status]).toEqual([false, status]);
        expect(await response.json()).toEqual({ no: status });
        expect(seen).toHaveLength(1);
      });
    },
  );

  it("resolves to the status of what was done where the server could not keep its body", async () => {
    const gone = problem(410, "idempotency_response_not_stored", {}, { originalStatus: 201 });
    await withFetch([reset, gone], async ({ fetch, url, seen }) => {
      const response = await fetch(orders(url), post("{}"));
      expect([response.ok, response.status, await response.text()]).toEqual([true, 201, ""]);
      expect(response.headers.get("idempotency-key")).toBe(seen[0]?.key);
    });
  });

  it.each<[string, Reply]>([
    ["a marked replay", json(201, { id: 7 }, { "idempotency-mismatch": "true" })],
    ["422 idempotency_conflict", problem(422, "idempotency_conflict")],
  ])("never lets %s of another request look like this one's answer", async (_name, reply) => {
    await withFetch([reply], async ({ fetch, url }) => {
      expect(await failure(fetch(orders(url), post("{}")))).toMatchObject({
        name: "KeyConflictError",
        code: "idempotency_conflict",
      });
    });
  });

  it.each<[string, readonly Reply[], object]>([
    ["the network stays away", [reset], { code: "outcome_unknown", nextAction: "resume" }],
    ["the server stays down", [json(503, {})], { code: "outcome_unknown", status: 503 }],
    ["a 401 follows a lost reply", [reset, json(401, {})], { code: "outcome_unknown" }],
    [
      "the server does not know itself",
      [problem(500, "idempotency_outcome_unknown")],
      { code: "idempotency_outcome_unknown" },
    ],
  ])("rejects with the key where %s, and goes on under it", async (_name, replies, error) => {
    await withFetch(replies, async ({ fetch, url, seen }) => {
      const thrown = await failure(fetch(orders(url), post("{}")));
      expect(thrown).toMatchObject({ ...error, key: seen[0]?.key });
      expect(thrown).not.toBeInstanceOf(TypeError);
      const { key } = thrown as { key: string };
      const before = seen.length;
      const headers = { "idempotency-key": key };
      await failure(fetch(orders(url), { ...post("{}"), headers, repeat: true }));
      expect(seen[before]?.key).toBe(key);
    });
  });

  it("lets everything else straight through, once and without a key", async () => {
    await withFetch([reset], async ({ fetch, url, seen }) => {
      for (const method of ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"]) {
        expect(await failure(fetch(orders(url), { method }))).toBeInstanceOf(TypeError);
      }
      expect(new Set(seen.map(({ key }) => key))).toEqual(new Set([undefined]));
      // Undici itself repeats what HTTP calls safe or idempotent, on a connection that it had used before.
      expect(seen.filter(({ method }) => method === "PUT")).toHaveLength(1);
    });
  });

  it("leaves a redirect to a caller who asked for that, and follows it for all others", async () => {
    const away = json(303, undefined, { location: "/receipts/1" });
    await withFetch([reset, away, away, done], async ({ fetch, url, seen }) => {
      const response = await fetch(orders(url), { ...post("{}"), redirect: "manual" });
      expect([response.status, response.headers.get("location")]).toEqual([303, "/receipts/1"]);
      expect((await fetch(orders(url), post("{}"))).status).toBe(201);
      expect(seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
        "POST /api/orders",
        "POST /api/orders",
        "POST /api/orders",
        "GET /receipts/1",
      ]);
    });
  });

  it("leaves nothing behind where it asks many times whether the first request still runs", async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on("warning", onWarning);
    const running = problem(409, "idempotency_in_flight", { "retry-after-ms": "0" });
    const replies = [...Array.from({ length: 40 }, () => running), done];
    await withFetch(replies, async ({ fetch, url, seen }) => {
      const { signal } = new AbortController();
      expect((await fetch(orders(url), { ...post("{}"), signal })).status).toBe(201);
      expect(seen).toHaveLength(41);
    });
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
  });

  it("counts no poll of a first request that still runs as an attempt", async () => {
    const running = problem(409, "idempotency_in_flight", { "retry-after-ms": "0" });
    const use = async ({ fetch, url, seen }: Tried) => {
      expect((await fetch(orders(url), post("{}"))).status).toBe(201);
      expect(seen).toHaveLength(5);
    };
    await withFetch([running, running, running, reset, done], use, { attempts: 2 });
  });

  it("warns of a success without the echoed key, or refuses it", async () => {
    const bare: Reply = (response) => response.end("ok");
    await withFetch([bare], async ({ fetch, url, warnings }) => {
      expect((await fetch(orders(url), post("{}"))).status).toBe(200);
      expect(warnings).toMatchObject([{ code: "unacknowledged" }]);
    });
    const refuse = { onUnacknowledged: "refuse" } as const;
    const use = async ({ fetch, url }: Tried) => {
      for (const redirect of ["follow", "manual"] as const) {
        expect(await failure(fetch(orders(url), { ...post("{}"), redirect }))).toMatchObject({
          code: "outcome_unknown",
        });
      }
    };
    await withFetch([bare], use, refuse);
  });
});

describe("what gets a key", () => {
  it("is not a no-cors request, which can carry none: it goes straight through, once", async () => {
    await withFetch([reset, done], async ({ fetch, url, seen }) => {
      const init = { ...post("a"), mode: "no-cors" } as const;
      await failure(fetch(orders(url), init));
      await fetch(new Request(orders(url), init));
      expect(seen.map(({ key }) => key)).toEqual([undefined, undefined]);
    });
  });

  it("is in a page what goes to its own origin", async () => {
    await withFetch([done], async ({ fetch, url, seen }) => {
      vi.stubGlobal("location", new URL("https://shop.example/cart"));
      await fetch(orders(url), post("a"));
      vi.stubGlobal("location", new URL("/cart", url));
      await fetch(orders(url), post("a"));
      vi.unstubAllGlobals();
      await fetch(orders(url), post("a"));
      expect(seen.map(({ key, body }) => [key !== undefined, body])).toEqual([
        [false, "a"],
        [true, "a"],
        [true, "a"],
      ]);
    });
  });

  it("is no stream that include leaves out: it goes straight through", async () => {
    const use = async ({ fetch, url, seen }: Tried) => {
      const init = {
        method: "POST",
        body: new Blob(["a"]).stream(),
        duplex: "half",
      } as RequestInit;
      expect((await fetch(orders(url), init)).status).toBe(201);
      expect(seen).toMatchObject([{ key: undefined, body: "a" }]);
    };
    await withFetch([done], use, { include: () => false });
  });

  it("only a request that include selects, or that the caller gives a key", async () => {
    const use = async ({ fetch, url, seen }: Tried) => {
      await fetch(orders(url), post("a"));
      await fetch(`${url}payments`, post("b"));
      await fetch(orders(url), { ...post("c"), headers: { "idempotency-key": "mine" } });
      const any = expect.any(String);
      expect(seen.map(({ key }) => key)).toEqual([undefined, any, "mine"]);
    };
    await withFetch([done], use, { include: ({ url }) => url.endsWith("/payments") });
  });
});

describe("a fetch that takes a URL and options", () => {
  it("works: that of another undici, with its agent", async () => {
    const dispatcher = new Agent();
    const fetch = ((url: string, init: object) =>
      undiciFetch(url, { ...init, dispatcher })) as unknown as typeof globalThis.fetch;
    const use = async ({ fetch: idempotentFetch, url, seen }: Tried) => {
      const request = new Request(orders(url), post('{"a":1}'));
      expect((await idempotentFetch(request)).status).toBe(201);
      expect(seen.map(({ body }) => body)).toEqual(['{"a":1}', '{"a":1}']);
    };
    await withFetch([reset, done], use, { fetch });
    await dispatcher.destroy();
  });
});

describe("an answer of a gateway or a portal", () => {
  const page: Reply = (response) =>
    response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html>");
  const bare404: Reply = (response) => response.writeHead(404).end();
  const json201: Reply = (response) =>
    response.writeHead(201, { "content-type": "application/json" }).end('{"id":');
  const order = { ...post("{}"), headers: { "content-type": "application/json" } };

  it.each<[string, readonly Reply[], string]>([
    ["a page", [page], "unexpected_answer"],
    ["a 404 after a lost reply", [reset, bare404], "outcome_unknown"],
    ["JSON that is cut off", [json201], "outcome_unknown"],
  ])("settles nothing: %s", async (_name, replies, code) => {
    await withFetch(replies, async ({ fetch, url, seen }) => {
      const thrown = await failure(fetch(orders(url), order));
      expect(thrown).toMatchObject({ code, key: seen[0]?.key });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
    });
  });
});

describe("an abort", () => {
  it("before anything is sent rejects with the signal's reason, as fetch does", async () => {
    await withFetch([done], async ({ fetch, url, seen }) => {
      const reason = new Error("left the page");
      const signal = AbortSignal.abort(reason);
      expect(await failure(fetch(orders(url), { ...post("{}"), signal }))).toBe(reason);
      expect(seen).toEqual([]);
    });
  });

  it("after that is no cancellation: the outcome is not known, and the reason is the cause", async () => {
    const controller = new AbortController();
    const abort: Reply = () => controller.abort();
    await withFetch([abort], async ({ fetch, url, seen }) => {
      const { signal } = controller;
      expect(
        await failure(fetch(new Request(orders(url), { ...post("{}"), signal }))),
      ).toMatchObject({
        code: "outcome_unknown",
        key: seen[0]?.key,
        cause: { name: "AbortError" },
      });
    });
  });
});

describe("its options", () => {
  it.each<[object, string]>([
    [{ baseUrl: "/" }, "unknown option baseUrl; allowed are attempts"],
    [{ key: "v1" }, "key must be 'v7', 'v4' or a function"],
    [{ keyFormat: "quoted" }, "keyFormat must be 'bare' or 'structured'"],
    [{ fetch: "node-fetch" }, "fetch must be a function"],
    [{ attempts: 0 }, "attempts must be a whole number from 1 to 100, got 0"],
  ])("are checked: %j", (options, message) => {
    expect(() => createIdempotentFetch(options)).toThrow(message);
  });

  it("set how keys are made and written", async () => {
    const options = { key: () => "order-1", keyFormat: "structured" } as const;
    const use = async ({ fetch, url, seen }: Tried) => {
      await fetch(orders(url), post("{}"));
      expect(seen[0]?.key).toBe('"order-1"');
    };
    await withFetch([done], use, options);
  });

  it("bound the retries of all its calls together", async () => {
    const use = async ({ fetch, url, seen }: Tried) => {
      await failure(fetch(orders(url), post("{}")));
      await failure(fetch(orders(url), post("{}")));
      expect(seen, "two calls and one retry").toHaveLength(3);
    };
    await withFetch([reset], use, { retryBudget: 1 });
  });
});
