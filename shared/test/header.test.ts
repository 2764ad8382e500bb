import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EXPOSED_HEADERS, formatKey, isKey, parseKey, readKey } from "../src/index.ts";

const key = fc.string({
  unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 255,
});

// Any UTF-16 at all, lone surrogates and control characters included.
const anything = fc
  .array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 300 })
  .map((units) => String.fromCharCode(...units));

describe("parseKey", () => {
  it.each([
    ["abc", "abc"],
    ['"abc"', "abc"],
    ["  abc\t", "abc"],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['"abc";v=1', "abc"],
    ['"abc"; v=1;b;c=?0;d="x;\\"y";e=:aGk=:;f=@1659578233;g=*t/o:k;h=-1.5;*i=%"%c3%bc"', "abc"],
    ['"a;b=1"', "a;b=1"],
    ["abc;v=1", "abc;v=1"],
    ["stripe-node-retry-0f8f", "stripe-node-retry-0f8f"],
    ["a/b+c==", "a/b+c=="],
    ['a"b', 'a"b'],
    ["k".repeat(255), "k".repeat(255)],
    [`"${"k".repeat(255)}"`, "k".repeat(255)],
  ])("reads %s", (value, expected) => {
    expect(parseKey(value)).toEqual({ kind: "key", key: expected });
  });

  it.each([
    ["", "is empty"],
    ["   ", "is empty"],
    ['""', "is empty"],
    ['"abc', "not a whole structured-field string"],
    ['"abc" ; a=1', "not a whole structured-field string"],
    ['"abc";', "not a whole structured-field string"],
    ['"abc";A=1', "not a whole structured-field string"],
    ['"abc";v=', "not a whole structured-field string"],
    ['"abc";v="x', "not a whole structured-field string"],
    ['"abc";v=1, "def"', "not a whole structured-field string"],
    ['"a"b"', "not a whole structured-field string"],
    ['"a\\b"', "not a whole structured-field string"],
    ['"', "not a whole structured-field string"],
    ["a b", "outside visible ASCII"],
    ['"a b"', "outside visible ASCII"],
    ["a, b", "outside visible ASCII"],
    ["ключ", "outside visible ASCII"],
    ["a\u0000b", "outside visible ASCII"],
    ["k".repeat(256), "256 characters long, at most 255"],
    [`"${"k".repeat(256)}"`, "256 characters long, at most 255"],
  ])("refuses %j and says why", (value, reason) => {
    expect(parseKey(value)).toEqual({ kind: "invalid", reason: expect.stringContaining(reason) });
  });

  it.each([" ", "a", '"', "\\", '"a";', '\\"'])(
    "refuses more than 1,024 characters made of %j by their number, whatever they are",
    (part) => {
      const value = part.repeat(1_025);
      const reason = `is ${value.length} characters long, at most 255 are allowed`;
      expect(parseKey(value)).toEqual({ kind: "invalid", reason });
      expect(readKey(value)).toBeUndefined();
    },
  );

  it("reads 255 characters that all have to be escaped, and parameters behind them", () => {
    const quotes = '"'.repeat(255);
    const value = formatKey(quotes, "structured");
    const room = 1_024 - value.length;
    expect(parseKey(`${value};v=${"1".repeat(room - 3)}`)).toEqual({ kind: "key", key: quotes });
  });

  it("reads back every key as formatKey wrote it, in both formats", () => {
    fc.assert(
      fc.property(key, fc.constantFrom("bare", "structured"), (original, format) => {
        expect(parseKey(formatKey(original, format))).toEqual({ kind: "key", key: original });
      }),
    );
  });

  it("never throws, and what it accepts is a key", () => {
    fc.assert(
      fc.property(anything, (value) => {
        const parsed = parseKey(value);
        expect(parsed.kind === "invalid" || isKey(parsed.key)).toBe(true);
      }),
    );
  });

  it("reads what readKey reads, and refuses what that does not", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          anything,
          key,
          key.map((text) => `"${text}"`),
        ),
        (value) => {
          const parsed = parseKey(value);
          expect(readKey(value)).toBe(parsed.kind === "key" ? parsed.key : undefined);
        },
      ),
    );
  });
});

describe("formatKey", () => {
  it("writes bare unless asked, and quotes a key that would be read as a string", () => {
    expect([formatKey("abc"), formatKey("abc", "structured"), formatKey('"abc"')]).toEqual([
      "abc",
      '"abc"',
      '"\\"abc\\""',
    ]);
  });

  it.each(["", "a b", "k".repeat(256), "é"])("refuses what is no key: %j", (value) => {
    expect(() => formatKey(value)).toThrow(RangeError);
  });
});

describe("EXPOSED_HEADERS", () => {
  it("lists every response header of the contract", () => {
    expect(EXPOSED_HEADERS).toEqual([
      "Idempotency-Key",
      "Idempotent-Replayed",
      "Idempotency-Mismatch",
      "Idempotency-Key-Lifetime",
      "Retry-After",
      "Cache-Control",
      "Date",
    ]);
    expect(Object.isFrozen(EXPOSED_HEADERS)).toBe(true);
  });
});
