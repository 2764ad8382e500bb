import { expect, test } from "vitest";
import { daysAround, drawKeyOf } from "./days.ts";
import { createRandomFor } from "./random.ts";
import { FENCED_ROUTES, ROUTES, SHORT_ROUTES } from "./routes.ts";
import type { Route } from "./routes.ts";

const DAY_MS = 86_400_000;
const now = Date.UTC(2026, 11, 1, 13);
const days = daysAround(now);
const UUID = /^[\da-f]{8}-[\da-f]{4}-[47][\da-f]{3}-8[\da-f]{3}-[\da-f]{12}$/;

function draw(routes: readonly Route[], progress: number): string[] {
  const random = createRandomFor(1, "keys");
  const drawKey = drawKeyOf(days, () => progress);
  return Array.from({ length: 400 }, () => drawKey(random, random.pick(routes).policy));
}

const isV7 = (key: string): boolean => key[14] === "7";

function dayOf(key: string): number {
  const ms = Number.parseInt(key.slice(0, 8) + key.slice(9, 13), 16);
  return ms - (ms % DAY_MS);
}

test("no old day is younger than two days, and today is the first of those that come", () => {
  expect(Math.max(...days.old)).toBeLessThan(now - 3 * DAY_MS);
  expect(days.coming[0]).toBe(Date.UTC(2026, 11, 1));
  expect([...days.old, ...days.coming]).toEqual(
    [...days.old, ...days.coming].toSorted((a, b) => a - b),
  );
});

test.each([
  [0, 0],
  [0.5, 6],
  [1, 11],
])("at %d of the run, keys that soon expire are of old day %i alone", (progress, index) => {
  const keys = draw([...SHORT_ROUTES, ...FENCED_ROUTES], progress);
  expect(new Set(keys).size).toBe(keys.length);
  for (const key of keys) {
    expect(key).toMatch(UUID);
    expect(isV7(key)).toBe(true);
    expect(dayOf(key)).toBe(days.old[index]);
  }
});

test("keys of lasting records are of days that come, or are no UUIDv7 and only sort into an old day", () => {
  const keys = draw(ROUTES, 0.5);
  const own = keys.filter((key) => isV7(key));
  expect(new Set(own.map(dayOf))).toEqual(new Set(days.coming));
  const strays = keys.filter((key) => !isV7(key));
  expect(strays.length).toBeGreaterThan(40);
  for (const key of strays) expect(dayOf(key)).toBe(days.old[6]);
});
