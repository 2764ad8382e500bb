import { Readable } from "node:stream";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { digest } from "../../src/ticket/digest.ts";

function of(value: unknown): string {
  return digest([value], "by-kind").toString("hex");
}

class Order {
  readonly amount: number;
  constructor(amount: number) {
    this.amount = amount;
  }
}

/** Counts how often the members of a JSON value are read. */
function counted(value: unknown, count: () => void): unknown {
  if (typeof value !== "object" || value === null) return value;
  const copy: unknown = Array.isArray(value)
    ? value.map((item) => counted(item, count))
    : Object.fromEntries(Object.entries(value).map(([key, item]) => [key, counted(item, count)]));
  return new Proxy(copy as object, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (Object.hasOwn(target, name) && name !== "length") count();
      return member;
    },
  });
}

function circular(): unknown {
  const value: Record<string, unknown> = { name: "a" };
  value["self"] = [value];
  return value;
}

/** Ten lists, each with ten references to the next: ten thousand million values if each is followed. */
function aliased(): unknown {
  let list: unknown = "x";
  for (let level = 0; level < 10; level += 1) list = Array.from({ length: 10 }, () => list);
  return list;
}

function throwing(): unknown {
  return Object.defineProperty({}, "a", {
    enumerable: true,
    get() {
      throw new Error("no");
    },
  });
}

function dictionary(names: readonly string[]): Record<string, number> {
  return Object.fromEntries(names.map((name) => [name, name.length]));
}

function scatteredNames(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `name ${(index * 7_919) % count}`);
}

function namesThatEndAlike(): string[] {
  return Array.from({ length: 100 }, (_, index) => `${1_000 + index} the same end`);
}

describe("digest", () => {
  it("does not depend on the names of bodies that were digested before", () => {
    const before = [
      of({ a: 1, b: 2 }),
      of({ a: 1, c: 2 }),
      of([
        { a: 1, c: 2 },
        { a: 1, b: 2 },
      ]),
    ];
    for (let count = 0; count < 300; count += 1) of({ [`first${count}`]: 1, b: 2 });
    for (const other of [{ a: 1 }, { a: 1, b: 2, c: 3 }, { a: 2, ["x".repeat(2_000)]: 1 }])
      of(other);

    const after = [
      of({ b: 2, a: 1 }),
      of({ a: 1, c: 2 }),
      of([
        { c: 2, a: 1 },
        { a: 1, b: 2 },
      ]),
    ];

    expect(after).toEqual(before);
    expect(new Set(before).size).toBe(3);
  });

  it("is the same for equal JSON and different for different JSON", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (one, other) => {
        const same = JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
        expect(of(one) === of(other)).toBe(same);
        expect(of(one)).toBe(of(structuredClone(one)));
      }),
    );
  });

  it("does not depend on the order of members, in an object and in a dictionary of many", () => {
    const names = scatteredNames(1_000);
    expect(of({ x: 1, y: { p: 1, q: 2 } })).toBe(of({ y: { q: 2, p: 1 }, x: 1 }));
    expect(of(dictionary(names))).toBe(of(dictionary(names.toReversed())));
    expect(of(dictionary(names))).not.toBe(of(dictionary(names.slice(1))));
  });

  it("sorts the names of a dictionary that end alike by their beginning", () => {
    const names = namesThatEndAlike();
    expect(of(dictionary(names))).toBe(of(dictionary(names.toReversed())));
  });

  // The digest is stored: another value for the same request would be a mismatch after an upgrade.
  it.each<[string, unknown, string]>([
    [
      "a small order",
      { amount: 5, to: "Ana", tags: ["a", null, true], at: 0.5 },
      "76393a4ea5ba4bff467fa9506c7525d5aec63fc75294cc93766ea5417b8c9656",
    ],
    [
      "a dictionary",
      dictionary(scatteredNames(1_000)),
      "5145940e46848296a07c0c54ea2805f74bac5edb7f6f6c98d6992f3df8bb8c46",
    ],
    [
      "a dictionary whose names end alike",
      dictionary(namesThatEndAlike()),
      "0a6fc7e2f18fef658ae12b973c384e04ec33cb0ff8d37a8c857b823d6c24800a",
    ],
    [
      "long texts",
      ["a".repeat(9_000), "b", "c".repeat(5_000)],
      "80497b0047d9399d98dc39f00b0f6b53470f9edca1c004d8221304450ba10f33",
    ],
    [
      "long texts above U+00FF",
      ["kůň €".repeat(2_000), "😀".repeat(5_000), "x"],
      "1456b1d7a72aa33f36a24559722c46c055a1ae6e29dcfc770808d567b99d3775",
    ],
    [
      "a pair on both sides of a long text's end",
      [`${"a".repeat(5_000)}\ud83d`, "\ude00"],
      "d38db80e58fe3474fdd2e14e1c45e73efe8bf62341e1df52b68fe0be01c18f01",
    ],
    [
      "a long text with a lone surrogate",
      ["b", `${"a".repeat(5_000)}\ud83d`],
      "d2eb5c3977c76cc464391ec2a2a0a7ceb89694ab354b7d88aa04b5751f6cbb8b",
    ],
  ])("keeps the value that it has always had: %s", (_name, value, expected) => {
    expect(of(value)).toBe(expected);
  });

  it("distinguishes dictionaries of 130,000 names that end alike", () => {
    const names = Array.from({ length: 130_000 }, (_, index) => `${index} the same end`);
    const one = dictionary(names.map((name) => name.padStart(30, "-")));
    const other = dictionary(names.map((name) => name.padStart(30, "+")));
    expect(of(one)).not.toBe(of(other));
  });

  it("visits each value once", () => {
    let reads = 0;
    const body = Array.from({ length: 500 }, (_, id) => ({ id, to: { name: "a", tags: [1, 2] } }));
    const watched = counted(body, () => (reads += 1));
    expect(of(watched)).toBe(of(body));
    // Per item: itself, id, to, name, tags and two tags.
    expect(reads).toBe(500 * 7);
  });

  it.each<[string, unknown, unknown]>([
    ["a list and its only item", [1], 1],
    ["an empty list and an empty object", [], {}],
    ["null and nothing", null, undefined],
    ["a number and its text", 1, "1"],
    ["true and its text", true, "true"],
    ["numbers in another place", [1, [2]], [[1], 2]],
    ["an empty list before and behind", [[], 5], [5, []]],
    ["where one text ends", ["ab", "c"], ["a", "bc"]],
    ["where one name ends", { ab: "c" }, { a: "bc" }],
    ["fractions", 0.1, 0.2],
    ["negative numbers", -1, -2],
    ["numbers above 2^27", 2 ** 27, 2 ** 27 + 1],
    ["numbers too large to hold", [Number.POSITIVE_INFINITY], [Number.NEGATIVE_INFINITY]],
    ["a number too large to hold and nothing", [Number.POSITIVE_INFINITY], [null]],
    ["lone surrogates", "\ud800", "\ud801"],
    [
      "long texts whose bytes are equal, one character in two bytes or each in one",
      ["\u6261".repeat(5_000), "c".repeat(5_000)],
      ["ab".repeat(2_500), "\u6261".repeat(2_500) + "\u6363".repeat(2_500)],
    ],
    ["long texts with lone surrogates", "\ud800".repeat(5_000), "\ud801".repeat(5_000)],
    ["a lone surrogate and its escape", "\ud800", "\\ud800"],
    ["BigInts", 1n, 2n],
    ["a BigInt and a number", 1n, 1],
    ["Sets", new Set(["a"]), new Set(["b"])],
    ["a Set and a list", new Set(["a"]), ["a"]],
    ["Maps", new Map([["a", 1]]), new Map([["a", 2]])],
    ["Dates", new Date(0), new Date(1)],
    ["a Date and its text", new Date(0), new Date(0).toJSON()],
    ["bytes", Buffer.from("a"), Buffer.from("b")],
    ["bytes and their text", Buffer.from("a"), "a"],
    ["other bytes in a list", [new Uint8Array([1])], [new Uint8Array([2])]],
    ["an array buffer's bytes", new Uint8Array([1]).buffer, new Uint8Array([2]).buffer],
    ["query parameters", new URLSearchParams("a=1"), new URLSearchParams("a=2")],
    ["boxed numbers", Object(1), Object(2)],
    ["URLs", new URL("http://a/"), new URL("http://b/")],
    ["class instances", new Order(1), new Order(2)],
    ["symbols and functions", Symbol("a"), () => 1],
  ])("tells apart: %s", (_name, one, other) => {
    expect(of(one)).not.toBe(of(other));
    expect(of(one)).toBe(of(one));
  });

  it("distinguishes whole numbers of every size", () => {
    const numbers = Array.from({ length: 53 }, (_, power) => [2 ** power - 1, 2 ** power]).flat();
    const all = new Set([...numbers, ...numbers.map((number) => 0 - number)]);
    expect(new Set([...all].map((number) => of(number))).size).toBe(all.size);
  });

  it.each<[string, () => unknown]>([
    ["a circle", circular],
    ["aliases of aliases", aliased],
    ["a getter that throws", throwing],
    ["a revoked proxy", revoked],
    ["20,000 nested lists", () => JSON.parse(`${"[".repeat(20_000)}${"]".repeat(20_000)}`)],
    [
      "nested lists around a lone surrogate",
      () => JSON.parse(`${"[".repeat(20_000)}"\\ud800"${"]".repeat(20_000)}`),
    ],
    ["fields called pipe and then", () => JSON.parse('{"pipe":1,"then":1}')],
    ["a field called toJSON", () => ({ toJSON: 1 })],
    ["a field called __proto__", () => JSON.parse('{"__proto__":1}')],
    ["an object without a prototype", () => Object.assign(Object.create(null), { a: 1 })],
    ["a promise", () => Promise.resolve()],
    ["a weak map", () => new WeakMap()],
    ["a function in an object", () => ({ a: () => 1 })],
    ["a Blob", () => new Blob(["a"])],
  ])("takes %s", (_name, make) => {
    expect(of(make())).toBe(of(make()));
  });

  it.each<[string, unknown]>([
    ["Node's", Readable.from(["a"])],
    ["the web's", new ReadableStream()],
    ["an object with a method pipe", { pipe: () => {} }],
    ["one in a part", { file: { stream: Readable.from(["a"]) } }],
  ])("refuses a stream: %s", (_name, stream) => {
    expect(() => of(stream)).toThrow("a stream");
  });
});

function revoked(): object {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  return proxy;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return Object.is(value, -0) ? 0 : value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return { members: members.map(([name, member]) => [name, sorted(member)]) };
}
