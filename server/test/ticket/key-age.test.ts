import { expect, it } from "vitest";
import { isOutOfTime } from "../../src/ticket/key-age.ts";

const NOW = Date.parse("2030-01-01T00:00:00Z");

/** Returns a UUIDv7 whose time is `aheadMs` ahead of the server. */
function keyAhead(aheadMs: number): string {
  const time = (NOW + aheadMs).toString(16).padStart(12, "0");
  return `${time.slice(0, 8)}-${time.slice(8)}-7000-8000-000000000000`;
}

it("refuses a key if its time is more than 5 minutes in the future, whatever the maximum age", () => {
  for (const maxAgeMs of [1_000, 86_400_000]) {
    expect(isOutOfTime(keyAhead(300_000), maxAgeMs, NOW)).toBe(false);
    expect(isOutOfTime(keyAhead(300_001), maxAgeMs, NOW)).toBe(true);
  }
});
