import { createIdempotentFetch } from "@oncekey/client/fetch";
import { describe, expect, it } from "vitest";
import { done, json, reset, withServer } from "../support/server.ts";

const quick = { backoff: { baseMs: 1, capMs: 2 } };

function form(): FormData {
  const data = new FormData();
  data.set("cart", "c1");
  data.set("receipt", new Blob(["ä"], { type: "text/plain" }), "receipt.txt");
  return data;
}

const BODIES: readonly [string, () => BodyInit | undefined, RegExp | undefined, string][] = [
  ["text", () => "a=ä", /^text\/plain/, "a=ä"],
  ["parameters", () => new URLSearchParams({ a: "1" }), /^application\/x-www-form/, "a=1"],
  ["bytes", () => new Uint8Array([97, 98]).subarray(1), undefined, "b"],
  ["a buffer", () => new TextEncoder().encode("abc").buffer, undefined, "abc"],
  ["a blob", () => new Blob(["abc"], { type: "text/csv" }), /^text\/csv$/, "abc"],
  ["a form", form, /^multipart\/form-data; boundary=/, 'name="cart"\r\n\r\nc1'],
  ["nothing", () => undefined, undefined, ""],
];

describe("a body is the same bytes on every attempt", () => {
  it.each(BODIES)("%s", async (_name, body, type, content) => {
    await withServer([json(503, {}), reset, done], async ({ url, seen }) => {
      const fetch = createIdempotentFetch(quick);
      const init = { method: "POST", ...withBody(body()) };
      expect((await fetch(new URL("orders", url), init)).status).toBe(201);
      expect((await fetch(new Request(`${url}orders`, init))).status).toBe(201);
      const [first, second, third] = seen;
      expect(seen).toHaveLength(4);
      expect(first?.body).toContain(content);
      for (const again of [second, third]) {
        expect(again?.body).toBe(first?.body);
        expect(again?.headers["content-type"]).toBe(first?.headers["content-type"]);
        expect(again?.headers["content-length"]).toBe(first?.headers["content-length"]);
        expect(again?.headers["transfer-encoding"]).toBeUndefined();
      }
      if (type !== undefined) expect(first?.headers["content-type"]).toMatch(type);
    });
  });

  it("even if the caller changes its buffer in the meantime", async () => {
    const bytes = new TextEncoder().encode("first");
    const overwrite = json(503, {});
    await withServer([overwrite, done], async ({ url, seen }) => {
      const call = createIdempotentFetch(quick)(`${url}orders`, { method: "POST", body: bytes });
      bytes.fill(0);
      await call;
      expect(seen.map(({ body }) => body)).toEqual(["first", "first"]);
    });
  });

  it.each<[string, () => BodyInit]>([
    ["a stream", () => new Blob(["a"]).stream()],
    ["chunks that come by and by", () => chunks() as unknown as BodyInit],
  ])("but %s is refused, because it can be sent only once", async (_name, body) => {
    await withServer([done], async ({ url, seen }) => {
      const init = { method: "POST", body: body(), duplex: "half" } as RequestInit;
      await expect(createIdempotentFetch()(`${url}orders`, init)).rejects.toThrow(
        new TypeError("body must not be a stream, which can be sent only once"),
      );
      expect(seen).toEqual([]);
    });
  });
});

describe("a request that fetch would refuse is refused before anything is sent", () => {
  it.each<[string, string, RequestInit]>([
    ["no URL", "http://", { method: "POST" }],
    [
      "a key that is none",
      "http://127.0.0.1/",
      { method: "POST", headers: { "idempotency-key": "a b" } },
    ],
    ["a body that was read before", "http://127.0.0.1/", { method: "POST" }],
  ])("%s", async (name, url, init) => {
    const attempts: unknown[] = [];
    const fetch = createIdempotentFetch({
      fetch: async (input) => {
        attempts.push(input);
        return new Response();
      },
    });
    let input: string | Request = url;
    if (name.startsWith("a body")) {
      input = new Request(url, { ...init, body: "a" });
      await input.text();
    }
    await expect(fetch(input, init)).rejects.toBeInstanceOf(TypeError);
    expect(attempts).toEqual([]);
  });
});

it("hands on what no request keeps, such as a framework's own members", async () => {
  const given: unknown[] = [];
  const fetch = createIdempotentFetch({
    fetch: async (input, init) => {
      given.push({ ...init, url: input });
      return new Response();
    },
    onWarning: () => undefined,
  });
  const init = { method: "POST", body: "a", headers: { a: "b" }, next: { tags: ["orders"] } };
  await fetch("http://127.0.0.1/orders", init);
  const signal = expect.any(AbortSignal);
  const url = "http://127.0.0.1/orders";
  expect(given).toMatchObject([
    { next: { tags: ["orders"] }, method: "POST", body: "a", signal, url },
  ]);
});

function withBody(body: BodyInit | undefined): RequestInit {
  return body === undefined ? {} : { body };
}

async function* chunks(): AsyncGenerator<Uint8Array> {
  yield new Uint8Array([97]);
}
