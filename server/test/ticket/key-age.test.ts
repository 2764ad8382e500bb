import { expect, it } from "vitest";
import { isOutOfTime } from "../../src/ticket/key-age.ts";

const NOW = Date.parse("2030-01-01T00:00:00Z");

/** Returns a UUIDv7 whose time is `aheadMs` ahead of the server. */
function keyAhead(aheadMs: number): string {
  const time = (NOW + aheadMs).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`;
}

it("refuses a key that is older than the maximum age, and none without a maximum", () => {
  expect(isOutOfTime(keyAhead(-1_000), 1_000, NOW)).toBe(false);
  expect(isOutOfTime(keyAhead(-1_001), 1_000, NOW)).toBe(true);
  expect(isOutOfTime(keyAhead(-1_001).toUpperCase(), 1_000, NOW)).toBe(true);
  for (const aheadMs of [-1_001, 300_001])
    expect(isOutOfTime(keyAhead(aheadMs), undefined, NOW)).toBe(false);
});

it.each<[string, string]>([
  ["a word", "order-1"],
  ["a UUID of another version", "00000000-0000-4000-8000-000000000000"],
  ["a UUID of another variant", "00000000-0000-7000-c000-000000000000"],
  ["a UUID with a prefix", "x00000000-0000-7000-8000-000000000000"],
  ["a UUID with a suffix", "00000000-0000-7000-8000-000000000000x"],
])("takes a key without a time at any age: %s", (_name, key) => {
  expect(isOutOfTime(key, 1_000, NOW)).toBe(false);
});

it("refuses a key if its time is more than 5 minutes in the future, whatever the maximum age", () => {
  for (const maxAgeMs of [1_000, 86_400_000]) {
    expect(isOutOfTime(keyAhead(300_000), maxAgeMs, NOW)).toBe(false);
    expect(isOutOfTime(keyAhead(300_001), maxAgeMs, NOW)).toBe(true);
  }
});
