import type { FastifyRequest } from "fastify";
import { describe, expect, it } from "vitest";
import { fingerprintBy, fingerprintWhole } from "../../src/ticket/fingerprint.ts";

interface Asked {
  readonly url?: string;
  readonly type?: string;
  readonly body?: unknown;
  readonly length?: number;
  readonly encoding?: string;
  /** Options of the application that receives it. */
  readonly config?: object;
}

function asked({
  url = "/pay",
  type = "application/json",
  body,
  length,
  encoding,
  config = {},
}: Asked): FastifyRequest {
  const headers = {
    "content-type": type,
    "content-length": length,
    "transfer-encoding": encoding,
  };
  return { url, headers, body, server: { initialConfig: config } } as unknown as FastifyRequest;
}

function of(request: Asked): string | undefined {
  return fingerprintWhole(asked(request))?.toString("hex");
}

/** Runs when it is awaited, as a query builder's does. */
function query(): object {
  const lazy = { text: "select 1" };
  Reflect.set(lazy, "then", (resolve: (rows: unknown[]) => void) => resolve([]));
  return lazy;
}

describe("the fingerprint of a whole request", () => {
  it("does not depend on the order of members or of query parameters", () => {
    expect(of({ url: "/pay?a=1&b=2", body: { x: 1, y: 2 } })).toBe(
      of({ url: "/pay?b=2&a=1", body: { y: 2, x: 1 } }),
    );
  });

  it("does not depend on a boundary or charset of the media type", () => {
    expect(of({ type: "application/json; charset=utf-8", body: {} })).toBe(
      of({ type: "Application/JSON", body: {} }),
    );
    expect(of({ type: "application/json ; charset=utf-8", body: {} })).toBe(of({ body: {} }));
  });

  it("does not depend on the spelling of the path, which is the target's", () => {
    expect(of({ url: "/c/42?a=1" })).toBe(of({ url: "/c/%34%32?a=1" }));
    expect(of({ url: "/c/42" })).toBe(of({ url: "/c/%34%32" }));
  });

  it("begins the query at a semicolon if Fastify does", () => {
    const [one, other] = ["/pay;to=alice", "/pay;to=mallory"];
    const delimited = { useSemicolonDelimiter: true };
    for (const config of [delimited, { routerOptions: delimited }])
      expect(of({ url: one, config })).not.toBe(of({ url: other, config }));
    const off = { routerOptions: { useSemicolonDelimiter: false }, useSemicolonDelimiter: true };
    for (const config of [{}, { routerOptions: {} }, off])
      expect(of({ url: one, config })).toBe(of({ url: other, config }));
  });

  it.each<[string, Asked, Asked]>([
    ["query", { url: "/pay?to=alice" }, { url: "/pay?to=mallory" }],
    [
      "query behind a second ?",
      { url: "/pay?r=https://s/done?o=1" },
      { url: "/pay?r=https://s/done?o=2" },
    ],
    ["query behind a #", { url: "/pay#o=1" }, { url: "/pay#o=2" }],
    ["query bytes that are no UTF-8", { url: "/pay?a=%ff" }, { url: "/pay?a=%fe" }],
    ["order of one parameter's values", { url: "/pay?a=1&a=2" }, { url: "/pay?a=2&a=1" }],
    ["media type", { type: "text/plain", body: "1" }, { type: "application/json", body: "1" }],
    ["body", { body: { amount: 1 } }, { body: { amount: 2 } }],
    ["order of a list", { body: [1, 2] }, { body: [2, 1] }],
    ["text and the same bytes", { body: "a" }, { body: Buffer.from("a") }],
    ["null and nothing", { body: null }, {}],
    ["text 'undefined' and nothing", { body: "undefined" }, {}],
    ["what looks like the next part", { url: "/pay?a", body: "b" }, { url: "/pay", body: "ab" }],
  ])("tells requests apart by %s", (_name, one, other) => {
    expect(of(one)).not.toBe(of(other));
    expect(of(one)).toBe(of(one));
  });

  it("is not known yet if a later hook or the handler reads the body", () => {
    expect(of({ length: 5 })).toBeUndefined();
    expect(of({ length: 1 })).toBeUndefined();
    expect(of({ encoding: "chunked" })).toBeUndefined();
    expect(of({ length: 0 })).toBeDefined();
    expect(of({ length: 5, body: {} })).toBeDefined();
  });

  it("refuses a streamed body, which can be read only once", () => {
    expect(() => of({ body: { pipe: () => {} } })).toThrow("needs a fingerprint option");
  });
});

describe("the fingerprint option", () => {
  it("covers only what it returns, and starts with its version", () => {
    const amount = (request: FastifyRequest) => (request.body as { amount: number }).amount;
    const one = fingerprintBy(amount, asked({ body: { amount: 1, at: 1 } }));
    expect(one).toEqual(fingerprintBy(amount, asked({ body: { amount: 1, at: 2 } })));
    expect(one).not.toEqual(fingerprintBy(amount, asked({ body: { amount: 2, at: 1 } })));
    expect(one[0]).toBe(1);
    expect(one).toHaveLength(33);
  });

  it.each<[string, () => unknown]>([
    ["a Promise", async () => "a"],
    ["a Promise", async () => Promise.reject(new Error("late"))],
    ["a Promise", query],
    ["a Promise", () => [1, Promise.resolve("a")]],
    ["a WeakSet", () => ({ tags: new WeakSet() })],
    ["a Blob", () => new Blob(["a"])],
    ["a function", () => () => 1],
    ["a symbol", () => Symbol("a")],
    ["a stream", () => ({ pipe: () => {} })],
  ])("refuses %s, which shows nothing of the request", (what, option) => {
    const refused = () => fingerprintBy(option, asked({}));
    expect(refused).toThrow(TypeError);
    expect(refused).toThrow(`fingerprint must return plain data synchronously, got ${what}`);
  });

  it("throws what it throws", () => {
    const option = () => {
      throw new Error("no order");
    };
    expect(() => fingerprintBy(option, asked({}))).toThrow("no order");
  });
});
