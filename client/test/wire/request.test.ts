/** A request as it is prepared, an answer as it is read, and the limit of one attempt, without a server. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { isHtml, readWhole, responseOf } from "../../src/wire/answer.ts";
import { decodeBytes, encodeBytes, serialiseBody } from "../../src/wire/body.ts";
import { HookError } from "../../src/wire/hook-error.ts";
import { membersOf } from "../../src/wire/members.ts";
import { canonicalJson, prepareRequest } from "../../src/wire/request.ts";
import type { PreparedRequest, RequestSpec, UrlBase } from "../../src/wire/request.ts";
import { reasonOf, withinLimit } from "../../src/wire/timeout.ts";

afterEach(() => void vi.useRealTimers());

const SHOP = { prefix: "https://shop.example/api/" };

function prepared(spec: RequestSpec, base: UrlBase = SHOP): PreparedRequest {
  const request = prepareRequest(spec, base);
  if (typeof request === "function") throw new Error("the body has to be read");
  return request;
}

describe("a prepared request", () => {
  it("is a POST without a body by default", () => {
    const url = "https://shop.example/api/orders";
    expect(prepared({ path: "orders" })).toEqual({ method: "POST", url, headers: {} });
    expect(prepared({ path: "orders", method: "PUT" }).method).toBe("PUT");
  });

  it("has the type of its body, unless its own headers have another, in whatever case", () => {
    const json = prepared({ path: "orders", json: { a: 1 } });
    expect(json).toMatchObject({
      body: '{"a":1}',
      headers: { "content-type": "application/json" },
    });
    const own = { "Content-Type": "application/vnd.shop+json", "X-Own": "1" };
    expect(prepared({ path: "orders", json: 1, headers: own }).headers).toEqual({
      "content-type": "application/vnd.shop+json",
      "x-own": "1",
    });
  });

  it.each<[string, UrlBase, string]>([
    ["orders", { prefix: "https://shop.example/api" }, "https://shop.example/api/orders"],
    ["//orders", { prefix: "https://shop.example/api//" }, "https://shop.example/api/orders"],
    ["HTTPS://pay.example/orders", SHOP, "https://pay.example/orders"],
    [
      "orders:cancel",
      { baseUrl: "https://shop.example/v1/" },
      "https://shop.example/v1/orders:cancel",
    ],
    ["?a=1", { baseUrl: "https://shop.example/v1/orders" }, "https://shop.example/v1/orders?a=1"],
    ["#a", { baseUrl: "https://shop.example/v1/orders" }, "https://shop.example/v1/orders#a"],
    ["/orders", { baseUrl: "https://shop.example/v1/" }, "https://shop.example/orders"],
    [
      "orders?a=1&b=1",
      { ...SHOP, searchParams: { a: 2, b: undefined } },
      "https://shop.example/api/orders?a=1&a=2",
    ],
  ])("leads from %s with %j to its URL", (path, base, url) => {
    expect(prepared({ path }, base).url).toBe(url);
  });

  it.each<[object, string]>([
    [{ path: "orders", method: "GET" }, "request.method must be one of POST, PUT, PATCH, DELETE"],
    [{ path: "" }, "request.path"],
    [{}, "request.path"],
    [{ path: "orders", json: () => 1 }, "request.json must be a value that JSON has"],
    [
      { path: "orders", body: new Blob(["a"]).stream() },
      "request.body must be text, URLSearchParams, bytes, a Blob or a FormData",
    ],
    [{ path: "orders", json: 1, body: "1" }, "a request has either json or body, not both"],
    [{ path: "orders", query: 1 }, "query"],
  ])("is refused by what is wrong: %j", (spec, message) => {
    const prepare = (): unknown => prepareRequest(spec as RequestSpec, SHOP);
    expect(prepare).toThrow(TypeError);
    expect(prepare).toThrow(message);
  });
});

describe("canonical JSON", () => {
  it("has the members of every object in order, and lists as they are", () => {
    const value = { b: [{ d: 1, c: 2 }, "x"], a: null };
    expect(canonicalJson(value)).toBe('{"a":null,"b":[{"c":2,"d":1},"x"]}');
    expect(canonicalJson({ a: {} })).toBe('{"a":{}}');
  });

  it.each<[string, unknown, string]>([
    ["nothing", undefined, "[object Undefined]"],
    ["a Map", new Map(), "[object Map]"],
    ["a promise within a list", [Promise.resolve()], "[object Promise]"],
  ])("is not made of %s", (_name, value, kind) => {
    expect(() => canonicalJson(value)).toThrow(
      new TypeError(`identity must be a JSON value, got ${kind}`),
    );
  });
});

describe("the members of a request", () => {
  it("are those that are not the defaults of the platform", () => {
    const own: RequestInit = {
      cache: "no-store",
      credentials: "omit",
      integrity: "sha256-AAAA",
      keepalive: true,
      mode: "same-origin",
      redirect: "manual",
      referrer: "",
      referrerPolicy: "no-referrer",
    };
    expect(membersOf(new Request("https://shop.example/", own))).toEqual(own);
    expect(membersOf(new Request("https://shop.example/", { headers: { a: "1" } }))).toEqual({});
  });
});

describe("an answer", () => {
  const read = (text: string, type?: string, sent: Record<string, string> = {}) => {
    const headers = new Headers();
    if (type !== undefined) headers.set("content-type", type);
    // Bytes have no media type of their own.
    const response = new Response(new TextEncoder().encode(text), { headers });
    return readWhole(response, new Headers(sent), false);
  };

  it.each<[Record<string, string>, boolean]>([
    [{ accept: "application/json" }, true],
    [{ "content-type": "application/json" }, true],
    [{ accept: "*/*", "content-type": "application/json" }, true],
    [{ accept: "text/html, application/json" }, false],
    [{ accept: "text/*, application/json" }, false],
    [{ accept: "text/plain" }, false],
    [{}, false],
  ])("to a request with %j is JSON or not: %s", async (sent, wantsJson) => {
    expect((await read("{}", "application/json", sent)).wantsJson).toBe(wantsJson);
  });

  it.each<[string, string | undefined, boolean]>([
    ["Log in", "text/html", true],
    ["<html>", undefined, true],
    [" <!DOCTYPE html>", "text/plain", true],
    ["see <html>", undefined, false],
    ["ok", undefined, false],
    ["<html>", "application/json", false],
  ])("of %j as %s is a page: %s", async (text, type, isPage) => {
    expect(isHtml(await read(text, type))).toBe(isPage);
  });

  it("without a body has no value, whatever its type is", async () => {
    expect((await read("", "application/json")).value).toEqual({ value: undefined });
  });

  it("has its own response, or one of the status alone", async () => {
    const answer = await read("{}");
    expect(responseOf(answer, 200)).toBe(answer.response);
    expect([responseOf(answer, 201).status, responseOf(undefined, 201).status]).toEqual([201, 201]);
  });
});

it("the error of a hook names its cause", () => {
  const cause = new Error("no session");
  const message = "ky's hooks or signal failed: Error: no session";
  expect(new HookError(cause)).toMatchObject({ name: "HookError", message, cause });
});

describe("bytes", () => {
  it("are copied, so that the caller may change its own", () => {
    const own = new Uint8Array([1, 2, 3]);
    const copies = [serialiseBody(own.subarray(1)), serialiseBody(own.buffer)];
    own.fill(0);
    expect(copies).toEqual([{ body: new Uint8Array([2, 3]) }, { body: new Uint8Array([1, 2, 3]) }]);
  });
});

describe("bytes as text", () => {
  it("are the same again, longer than a chunk and of every value", async () => {
    const bytes = new Uint8Array(70_000).map((_, at) => at % 256);
    expect(decodeBytes(await encodeBytes(bytes))).toEqual(bytes);
    expect(await encodeBytes(new Blob([new Uint8Array([0, 255])]))).toBe("AP8=");
  });
});

describe("the limit of an attempt", () => {
  const never = (): Promise<never> => new Promise(() => undefined);

  it("ends an attempt that takes no notice, and aborts its signal with the reason", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const signals: AbortSignal[] = [];
    const late = withinLimit({ timeoutMs: 99.5, signal: undefined }, (signal) => {
      signals.push(signal);
      return never();
    }).catch((error: unknown) => error);
    await vi.advanceTimersByTimeAsync(100);
    const reason = await late;
    expect(reason).toEqual(new Error("no whole answer within 100 ms"));
    expect(signals.map((signal) => signal.reason)).toEqual([reason]);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("ends an attempt with the reason of its caller, which starts none if it has aborted", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    const started = vi.fn(never);
    const ended = withinLimit({ timeoutMs: 60_000, signal }, started);
    controller.abort(new Error("closed"));
    await expect(ended).rejects.toThrow("closed");
    await expect(withinLimit({ timeoutMs: 60_000, signal }, started)).rejects.toThrow("closed");
    expect(started).toHaveBeenCalledOnce();
  });

  it("has the reason that fetch would have if the platform has none", () => {
    const bare = { aborted: true } as AbortSignal;
    for (const signal of [bare, undefined])
      expect(reasonOf(signal)).toMatchObject({
        name: "AbortError",
        message: "This operation was aborted",
      });
  });
});
