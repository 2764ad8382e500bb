/** The server remembers the key, and no longer the response: 410 `idempotency_response_not_stored`. */
import { memoryStorage } from "@oncekey/client";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const DAY_S = 86_400;
const DAY_MS = DAY_S * 1_000;
/** The longest delay that a timer takes; a longer one ends at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const fenced = (leftDays: number): Record<string, string> => ({
  "idempotency-key-lifetime": String(leftDays * DAY_S),
});

function gone(originalStatus?: number, headers: Record<string, string> = {}): Reply {
  return problem(410, "idempotency_response_not_stored", headers, { originalStatus });
}

describe("an operation whose response is no longer stored", () => {
  it.each([200, 201, 202, 204, 299])(
    "is done without a value if its status was %d",
    async (status) => {
      await withServer([reset, gone(status)], async ({ url, seen }) => {
        const { client, order } = createShop(url);
        const result = await order.run(cart);
        expect(result).toEqual({
          kind: "done",
          value: undefined,
          stored: false,
          replayed: true,
          status,
          key: result.key,
          attempts: 2,
        });
        expect(await client.pending()).toEqual([]);
        expect(seen.map(({ key }) => key)).toEqual([result.key, result.key]);
      });
    },
  );

  it.each([400, 402, 409, 422, 499, 500, 503])(
    "is rejected if its status was %d, and the next run mints",
    async (status) => {
      await withServer([reset, gone(status), done], async ({ url, seen }) => {
        const { client, order } = createShop(url);
        const result = await order.run(cart);
        expect(result).toMatchObject({
          kind: "rejected",
          error: { code: "idempotency_response_not_stored", originalStatus: status },
        });
        expect(await client.pending()).toEqual([]);
        expect(await order.run(cart)).toMatchObject({ kind: "done", value: { id: 1 } });
        expect(seen[2]?.key).not.toBe(result.key);
      });
    },
  );

  it.each([
    ["is missing", undefined],
    ["was 302: where it led to is lost", 302],
    ["was 100", 100],
    ["is no status: 99", 99],
    ["is no status: 600", 600],
  ])("stays unknown with its key if its status %s", async (_name, status) => {
    await withServer([reset, gone(status), gone(201)], async ({ url, seen }) => {
      const { client, order } = createShop(url);
      const result = await order.run(cart);
      expect(result).toMatchObject({ kind: "unknown", error: { code: "outcome_unknown" } });
      expect(await client.pending()).toMatchObject([{ key: result.key }]);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: result.key });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
    });
  });

  it.each([
    [201, { kind: "done", stored: false, status: 201 }],
    [402, { kind: "rejected", error: { code: "idempotency_response_not_stored" } }],
  ])("is looked up by check() and resume() of a later page: %d", async (status, expected) => {
    for (const ask of ["check", "resume"] as const) {
      await withServer([reset, gone(status)], async ({ url, seen }) => {
        const storage = memoryStorage();
        const options = { storage, statusCheck: true };
        await createShop(url, { ...options, attempts: 1 }).order.run(cart);
        const [pending] = await createShop(url, options).client.pending();
        expect(await pending?.[ask]?.()).toMatchObject(expected);
        expect(seen).toHaveLength(2);
        expect(await createShop(url, options).client.pending()).toEqual([]);
      });
    }
  });

  it("is done for a schema as well, with valueError, even without the echoed key", async () => {
    const silent: Reply = (response) =>
      response
        .writeHead(410, { "content-type": "application/problem+json" })
        .end('{"code":"idempotency_response_not_stored","originalStatus":201}');
    await withServer([silent], async ({ url }) => {
      const { client } = createShop(url);
      const order = client.operation("typed", {
        request: () => ({ path: "orders", json: {} }),
        response: {
          "~standard": {
            version: 1,
            vendor: "test",
            validate: () => ({ issues: [{ message: "required" }] }),
          },
        },
      });
      expect(await order.run()).toMatchObject({
        kind: "done",
        stored: false,
        value: undefined,
        valueError: {
          code: "unexpected_answer",
          message: "The server has no longer stored the answer",
        },
      });
    });
  });
});

describe("an earlier operation of another input whose response is no longer stored", () => {
  const mismatch = { "idempotency-mismatch": "true" };
  const other = { ...cart, lines: ["pear"] };

  it.each([
    [201, { kind: "done", stored: false, status: 201, value: undefined }],
    [402, { kind: "rejected", error: { status: 402 } }],
  ])("is the earlierResult, with its own status: %d", async (status, earlierResult) => {
    await withServer([reset, gone(status, mismatch)], async ({ url }) => {
      const { client, order } = createShop(url, { attempts: 1 });
      await order.run(cart);
      expect(await order.run(other)).toMatchObject({
        kind: "rejected",
        error: { code: "earlier_operation_exists" },
        earlierResult,
      });
      expect(await client.pending()).toEqual([]);
    });
  });

  it("stays pending if its status is missing", async () => {
    await withServer([reset, gone(undefined, mismatch)], async ({ url }) => {
      const { client, order } = createShop(url, { attempts: 1 });
      const { key } = await order.run(cart);
      const result = await order.run(other);
      expect(result).toMatchObject({ kind: "rejected", earlier: { key } });
      expect(result).not.toHaveProperty("earlierResult");
      expect(await client.pending()).toMatchObject([{ key }]);
    });
  });
});

describe("a key that the server remembers for 30 days", () => {
  beforeEach(() => vi.useFakeTimers({ toFake: ["Date"], now: new Date("2026-01-02T00:00:00Z") }));
  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });
  const pass = (ms: number): void => void vi.setSystemTime(Date.now() + ms);
  const remembering = { rememberMs: undefined };

  it("is sent again on day 29, is done without a value, and makes room for a new key on day 30", async () => {
    const first = json(201, { id: 1 }, fenced(30));
    const left = gone(201, fenced(1));
    await withServer([first, left, left, done], async ({ url, seen }) => {
      const timers = vi.spyOn(globalThis, "setTimeout");
      const { order } = createShop(url, remembering);
      const { key } = await order.run(cart);
      pass(29 * DAY_MS);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key, stored: false });
      // The server has named the day that is left, and not a lifetime of one day.
      expect(await order.run(cart), "Back and Pay again").toMatchObject({ kind: "done", key });
      pass(DAY_MS);
      const last = await order.run(cart);
      expect(last).toMatchObject({ kind: "done", value: { id: 1 } });
      expect(last.key).not.toBe(key);
      expect(seen.map((one) => one.key)).toEqual([key, key, key, last.key]);
      for (const [, ms = 0] of timers.mock.calls) expect(ms).toBeLessThanOrEqual(LONGEST_TIMER_MS);
    });
  });

  it("is resumed on day 29, and given up on day 30", async () => {
    const refused = problem(503, "idempotency_unavailable", fenced(30));
    await withServer([refused, refused, gone(201)], async ({ url, seen }) => {
      const storage = memoryStorage();
      const { order } = createShop(url, { storage, attempts: 1 });
      const { key } = await order.run(cart);
      pass(29 * DAY_MS);
      const [pending] = await createShop(url, { storage, attempts: 1 }).client.pending();
      expect(pending).toMatchObject({ key, canResume: true });
      expect(await pending?.resume()).toMatchObject({ kind: "unknown", attempts: 1 });
      pass(DAY_MS);
      const [old] = await createShop(url, { storage }).client.pending();
      expect(old).toMatchObject({ key, canResume: false });
      expect(await old?.resume()).toMatchObject({ kind: "unknown", attempts: 0 });
      expect(seen).toHaveLength(2);
    });
  });
});
