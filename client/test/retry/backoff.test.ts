import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { createRetryBudget, fullJitterMs, retryAfterMs } from "../../src/options/backoff.ts";
import { repeat } from "../../src/retry/repeat.ts";
import { pause } from "../../src/wire/timeout.ts";

const NOW = Date.parse("2026-01-01T00:00:00Z");

describe("full jitter", () => {
  it("is anything from nothing to the doubled base, and never above the cap", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2_000 }),
        fc.integer({ min: 1, max: 60_000 }),
        fc.integer({ min: 1, max: 600_000 }),
        (attempt, baseMs, capMs) => {
          const waitMs = fullJitterMs(attempt, { baseMs, capMs });
          expect(waitMs).toBeGreaterThanOrEqual(0);
          expect(waitMs).toBeLessThan(Math.min(capMs, baseMs * 2 ** (attempt - 1)) + 1e-9);
        },
      ),
    );
  });

  it("uses its whole range", () => {
    const waits = Array.from({ length: 2_000 }, () =>
      fullJitterMs(3, { baseMs: 100, capMs: 8_000 }),
    );
    expect(Math.min(...waits)).toBeLessThan(40);
    expect(Math.max(...waits)).toBeGreaterThan(360);
  });
});

describe("Retry-After", () => {
  it.each<[Record<string, string>, number | undefined]>([
    [{}, undefined],
    [{ "retry-after": "3" }, 3_000],
    [{ "retry-after": "0" }, 0],
    [{ "retry-after": "Thu, 01 Jan 2026 00:00:05 GMT" }, 5_000],
    [{ "retry-after": "Wed, 31 Dec 2025 00:00:00 GMT" }, 0],
    [
      { "retry-after": "Sat, 03 Jan 2026 00:00:05 GMT", date: "Sat, 03 Jan 2026 00:00:00 GMT" },
      5_000,
    ],
    [{ "retry-after": "Thu, 01 Jan 2026 00:00:05 GMT", date: "today" }, 5_000],
    [{ "retry-after": "soon" }, undefined],
    [{ "retry-after": "-1" }, undefined],
    [{ "retry-after": "3", "retry-after-ms": "250" }, 250],
    [{ "retry-after": "3", "retry-after-ms": "soon" }, 3_000],
    [{ "retry-after-ms": "1.5" }, 1.5],
  ])("of %j is %s ms", (headers, expected) => {
    expect(retryAfterMs(new Headers(headers), NOW)).toBe(expected);
  });

  it("never throws and is never negative", () => {
    fc.assert(
      fc.property(
        fc.string({
          unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
        }),
        (value) => {
          const waitMs = retryAfterMs(new Headers({ "retry-after": value }), NOW);
          expect(waitMs === undefined || waitMs >= 0).toBe(true);
        },
      ),
    );
  });
});

describe("the retry budget", () => {
  it("is used up by retries and given back by successes, never above its size", () => {
    const budget = createRetryBudget(2);
    budget.refill();
    expect([budget.take(), budget.take(), budget.take()]).toEqual([true, true, false]);
    budget.refill();
    expect([budget.take(), budget.take()]).toEqual([true, false]);
  });
});

it("an error of the code itself ends the attempts, and is no reason for another one", async () => {
  const broken = new Error("broken");
  const once = vi.fn(() => Promise.reject(broken));
  const next = vi.fn(() => Promise.resolve(undefined));
  await expect(repeat({ attempts: 3, once, next })).rejects.toBe(broken);
  expect([once.mock.calls.length, next.mock.calls.length]).toEqual([1, 0]);
});

describe("a pause", () => {
  it("ends when a signal aborts, also where that was before it began", async () => {
    const controller = new AbortController();
    const paused = pause(60_000, controller.signal);
    controller.abort();
    await paused;
    await pause(60_000, controller.signal);
    await pause(1, new AbortController().signal);
  });
});
