import fc from "fast-check";
import type { FastifyRequest } from "fastify";
import { describe, expect, it } from "vitest";
import { fingerprint } from "../../src/ticket/fingerprint.ts";

interface Asked {
  readonly method?: string;
  readonly url?: string;
  readonly type?: string;
  readonly body?: unknown;
}

function asked({
  method = "POST",
  url = "/pay",
  type = "application/json",
  body,
}: Asked): FastifyRequest {
  return { method, url, headers: { "content-type": type }, body } as unknown as FastifyRequest;
}

/** Runs when it is awaited, as a query builder's does. */
function query(): object {
  const lazy = { text: "select 1" };
  Reflect.set(lazy, "then", (resolve: (rows: unknown[]) => void) => resolve([]));
  return lazy;
}

function of(request: Asked): string {
  return fingerprint(asked(request)).toString("hex");
}

describe("fingerprint", () => {
  it("does not depend on the order of members or of query parameters", () => {
    expect(of({ url: "/pay?a=1&b=2", body: { x: 1, y: { p: 1, q: 2 } } })).toBe(
      of({ url: "/pay?b=2&a=1", body: { y: { q: 2, p: 1 }, x: 1 } }),
    );
  });

  it("does not depend on a boundary or charset of the media type", () => {
    expect(of({ type: "application/json; charset=utf-8", body: {} })).toBe(
      of({ type: "Application/JSON", body: {} }),
    );
  });

  it.each<[string, Asked, Asked]>([
    ["method", { method: "POST" }, { method: "PATCH" }],
    ["path", { url: "/pay/1" }, { url: "/pay/2" }],
    ["query", { url: "/pay?to=alice" }, { url: "/pay?to=mallory" }],
    ["media type", { type: "text/plain", body: "1" }, { type: "application/json", body: "1" }],
    ["body", { body: { amount: 1 } }, { body: { amount: 2 } }],
    ["number and string", { body: { amount: 1 } }, { body: { amount: "1" } }],
    ["order of a list", { body: [1, 2] }, { body: [2, 1] }],
    ["text and the same bytes", { body: "a" }, { body: Buffer.from("a") }],
    ["null and nothing", { body: null }, {}],
    ["text 'undefined' and nothing", { body: "undefined" }, {}],
    ["a lone surrogate and another", { body: { a: "\ud800" } }, { body: { a: "\ud801" } }],
    [
      "a number too large to hold and nothing",
      { body: [Number.POSITIVE_INFINITY] },
      { body: [null] },
    ],
    [
      "numbers too large to hold",
      { body: [Number.POSITIVE_INFINITY, "\ud800"] },
      { body: [Number.NEGATIVE_INFINITY, "\ud800"] },
    ],
    ["what looks like the next part", { url: "/pay?a", body: "b" }, { url: "/pay", body: "ab" }],
  ])("tells requests apart by %s", (_name, one, other) => {
    expect(of(one)).not.toBe(of(other));
    expect(of(one)).toBe(of(one));
  });

  it("is the same for equal JSON and different for different JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        const same = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
        expect(of({ body: one }) === of({ body: other })).toBe(same);
        expect(of({ body: one })).toBe(of({ body: structuredClone(one) }));
      }),
    );
  });

  it("takes a deeply nested body", () => {
    const nested = JSON.parse(`${"[".repeat(20_000)}${"]".repeat(20_000)}`) as unknown;
    expect(of({ body: nested })).toHaveLength(66);
  });

  it("refuses a deeply nested body that has no canonical form, as the sender's mistake", () => {
    const nested = JSON.parse(`${"[".repeat(20_000)}"\\ud800"${"]".repeat(20_000)}`) as unknown;
    expect(() => of({ body: nested })).toThrow(expect.objectContaining({ statusCode: 400 }));
  });

  it("covers only what the option returns, and starts with its version", () => {
    const amount = (request: FastifyRequest) => (request.body as { amount: number }).amount;
    const one = fingerprint(asked({ body: { amount: 1, at: 1 } }), amount);
    expect(one).toEqual(fingerprint(asked({ body: { amount: 1, at: 2 } }), amount));
    expect(one).not.toEqual(fingerprint(asked({ body: { amount: 2, at: 1 } }), amount));
    expect(one[0]).toBe(1);
  });

  it.each<[string, () => unknown]>([
    ["a promise", async () => "a"],
    ["a promise that fails", async () => Promise.reject(new Error("late"))],
    ["a query that is not sent", query],
    ["a Map", () => new Map([["a", 1]])],
    ["a Set in an object", () => ({ tags: new Set(["a"]) })],
    ["a promise in a list", () => [1, Promise.resolve("a")]],
    ["bytes that are no view", () => new ArrayBuffer(4)],
    ["query parameters", () => new URLSearchParams("a=1")],
    ["a function", () => () => 1],
  ])("refuses what does not show what is in it: %s", (_name, make) => {
    expect(() => fingerprint(asked({}), make)).toThrow("has to return plain data");
    expect(() => fingerprint(asked({ body: make() }))).toThrow(TypeError);
  });

  it.each<unknown>([
    {},
    [],
    null,
    Object.create(null),
    new Date(0),
    new URL("http://a/"),
    JSON.parse('{"then":1}'),
    { file: new Uint8Array(0) },
    new (class Order {
      readonly amount = 1;
    })(),
    Object.create({ amount: 1 }),
  ])("takes what shows all that is in it, and what is empty: %o", (value) => {
    expect(fingerprint(asked({}), () => value)).toHaveLength(33);
  });

  it("refuses a streamed body, which can be read only once", () => {
    expect(() => of({ body: { pipe: () => {} } })).toThrow("needs a fingerprint option");
  });
});

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? 0 : value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { members: members.map(([name, member]) => [name, sorted(member)]) };
}
