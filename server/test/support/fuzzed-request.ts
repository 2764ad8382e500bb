/** Arbitrary requests, each with what is true of it by construction: which key it carries, if any, and whose it is. */
import fc from "fast-check";
import type { RawRequest } from "./raw-http.ts";

export interface FuzzedRequest {
  readonly raw: RawRequest;
  readonly user: string;
  /** The one valid key; `undefined` where there is none, or more than one. */
  readonly key: string | undefined;
  /** Whether nothing may be started by it. */
  readonly onlyIfStored: boolean;
}

export const ROUTES = ["advisory", "unique", "row", "lease", "strict"] as const;

// Pairs whose names run together the same way: `a` + `b:c`, `a:b` + `c`.
const USERS = ["a", "a:b", "A", "\u00e9", "POST /advisory/1"];
const FEW_KEYS = ["c", "b:c", "C", "~".repeat(255), 'x"y', "back\\slash", "null", "'; drop"];

type KeyLines = { readonly key: string | undefined; readonly lines: readonly string[] };

const visible = fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code));
const anyKey = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...FEW_KEYS) },
  { weight: 2, arbitrary: fc.string({ unit: visible, minLength: 1, maxLength: 255 }) },
  { weight: 1, arbitrary: fc.string({ unit: visible, minLength: 255, maxLength: 255 }) },
);
const padding = fc.constantFrom("", " ", "\t", " \t ");

const written = fc.tuple(anyKey, fc.boolean(), padding, padding).map(([key, quoted, a, b]) => {
  const value = quoted || key.startsWith('"') ? quote(key) : key;
  return { key, lines: [`${a}${value}${b}`] };
});

/** Parameters of a key are ignored. */
const withParameters = fc
  .tuple(anyKey, fc.constantFrom(";p=1", "; v", ';a="x;y";b', ";q=?1;r=:AAA=:"))
  .map(([key, parameters]): KeyLines => ({ key, lines: [`${quote(key)}${parameters}`] }));

/** Values that are no key, each for a reason of its own. */
const malformed = fc
  .oneof(
    fc.constantFrom(
      "",
      " ",
      '""',
      '"',
      '"open',
      '"a"b',
      '"a";',
      '"a";P=1',
      '"a\\b"',
      '"a b"',
      '"\u00e9"',
    ),
    fc.string({ unit: visible, minLength: 256, maxLength: 300 }).map((key) => quote(key)),
    fc.string({ unit: visible, minLength: 256, maxLength: 256 }).map((key) => `k${key.slice(1)}`),
    fc.tuple(anyKey, oddByte(), anyKey).map(([before, odd, after]) => `k${before}${odd}${after}`),
  )
  .map((line): KeyLines => ({ key: undefined, lines: [line] }));

const repeated = fc
  .array(anyKey, { minLength: 2, maxLength: 3 })
  .map((lines): KeyLines => ({ key: undefined, lines }));

const keyLines: fc.Arbitrary<KeyLines> = fc.oneof(
  { weight: 5, arbitrary: written },
  { weight: 1, arbitrary: withParameters },
  { weight: 2, arbitrary: malformed },
  { weight: 1, arbitrary: repeated },
  { weight: 1, arbitrary: fc.constant({ key: undefined, lines: [] }) },
);

const path = fc
  .tuple(
    fc.constantFrom(...ROUTES),
    fc.oneof(
      { weight: 8, arbitrary: fc.constantFrom("1", "2", "1?", "1?a=1&b=2", "1?b=2&a=1", "1#") },
      { weight: 1, arbitrary: fc.constantFrom("%", "%00", "%ff", "..", "/", "%2e%2e/x", "\u00e9") },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 20_000 }).map((n) => "p".repeat(n)) },
      { weight: 1, arbitrary: fc.webPath() },
    ),
  )
  .map(([route, rest]) => `/${route}/${rest}`);

const DEEP = 20_000;
const json = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom('{"amount":1}', '{"amount":2}', '{ "amount" : 1 }') },
  { weight: 3, arbitrary: fc.json({ stringUnit: "binary" }) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('"\\ud800"', '{"\\udfff":"\\u0000"}', '"\ufffd"', "1e999", "-0"),
  },
  { weight: 1, arbitrary: fc.constantFrom('{"__proto__":1}', '{"a":1,"a":2}', "{", "", "nul") },
);
const deep = fc.constantFrom(
  "[".repeat(DEEP) + "]".repeat(DEEP),
  '{"a":'.repeat(DEEP) + "1" + "}".repeat(DEEP),
  "[".repeat(DEEP) + '"\\ud800"' + "]".repeat(DEEP),
);
const content: fc.Arbitrary<{ readonly type: string | undefined; readonly body: Buffer }> =
  fc.oneof(
    { weight: 6, arbitrary: typed(json, "application/json", "APPLICATION/json; charset=utf-8") },
    { weight: 1, arbitrary: typed(deep, "application/json") },
    {
      weight: 1,
      arbitrary: typed(fc.string({ unit: "binary" }), "text/plain", "application/json"),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        type: fc.oneof(
          fc.constantFrom(
            undefined,
            "",
            "/",
            "application/json;",
            "application/x-www-form-urlencoded",
          ),
          fc.string({ unit: fc.oneof(visible, oddByte()), maxLength: 20 }),
        ),
        body: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      }),
    },
  );

// Not those that frame the message or name the caller: they would make another request of it.
const strayName = fc.oneof(
  fc.constantFrom("__proto__", "constructor", "Idempotent-Replayed", "Idempotency-Mismatch"),
  fc.constantFrom("Range", "If-None-Match", "Cookie", "Accept-Encoding", "X-Http-Method-Override"),
  fc.string({ unit: visible, minLength: 1, maxLength: 10 }).map((name) => `X-${name}`),
);
const strayHeaders = fc.array(
  fc.tuple(strayName, fc.string({ unit: fc.oneof({ weight: 30, arbitrary: visible }, oddByte()) })),
  { maxLength: 4 },
);

export const fuzzedRequest: fc.Arbitrary<FuzzedRequest> = fc
  .record({
    keyed: keyLines,
    name: fc.constantFrom("Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"),
    user: fc.constantFrom(...USERS),
    only: fc.oneof(
      { weight: 9, arbitrary: fc.constant(undefined) },
      { weight: 1, arbitrary: fc.constantFrom("true", "?1", "", "yes") },
    ),
    path,
    content,
    stray: fc.oneof({ weight: 3, arbitrary: fc.constant([]) }, strayHeaders),
    strayFirst: fc.boolean(),
  })
  .map(({ keyed, name, user, only, path: to, content: { type, body }, stray, strayFirst }) => {
    const own: [string, string][] = [
      ["X-User", user],
      ...keyed.lines.map((line): [string, string] => [name, line]),
      ...(only === undefined ? [] : [["Idempotency-Only-If-Stored", only] as [string, string]]),
      ...(type === undefined ? [] : [["Content-Type", type] as [string, string]]),
    ];
    const headers = strayFirst ? [...stray, ...own] : [...own, ...stray];
    const raw = { path: to, headers, body };
    // A body may be 120 kB of brackets, which no report of a failure should repeat.
    const shown = JSON.stringify({ ...raw, body: body.toString("latin1", 0, 200) });
    const [key, onlyIfStored] = [keyed.key, only !== undefined];
    return { raw, user, key, onlyIfStored, [fc.toStringMethod]: () => shown };
  });

function quote(key: string): string {
  return `"${key.replace(/["\\]/g, "\\$&")}"`;
}

/** A byte that no key may contain, though a header may. Line ends would begin another header, so they come only alone. */
function oddByte(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.integer({ min: 0x7f, max: 0xff }).map((code) => String.fromCharCode(code)),
    fc.constantFrom("\0", "\x01", "\x1f", " ", "\t", "\r"),
  );
}

function typed(
  text: fc.Arbitrary<string>,
  ...types: string[]
): fc.Arbitrary<{ type: string; body: Buffer }> {
  return fc.record({
    type: fc.constantFrom(...types),
    body: text.map((value) => Buffer.from(value)),
  });
}
