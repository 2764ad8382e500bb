import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import pg from "pg";
import { describe, expect, it } from "vitest";
import { checkOptions, resolveRouteOptions } from "../../src/options/options.ts";
import type { IdempotencyOptions } from "../../src/options/options.ts";

// Never connected: registration only looks at its shape.
const pool = new pg.Pool();
const scope = "single-tenant";

describe("options of the registration", () => {
  it.each<[string, Record<string, unknown>, string]>([
    ["pool missing", { scope }, "pool is required"],
    ["scope missing", { pool }, "scope is required"],
    ["a pool that is none", { pool: {}, scope }, "pool must be a pg.Pool or a function"],
    [
      "scope",
      { pool, scope: "tenant" },
      "scope must be a function of the request, or 'single-tenant', got \"tenant\"",
    ],
    ["schema", { pool, scope, schema: 'x"; drop' }, "schema must be a name that matches"],
    [
      "schema too long",
      { pool, scope, schema: "a".repeat(64) },
      "schema must be a name that matches",
    ],
    [
      "strategy",
      { pool, scope, strategy: "optimistic" },
      "strategy must be 'advisory' or 'unique' or 'row' or 'lease', got \"optimistic\"",
    ],
    [
      "maxInFlightPerScope",
      { pool, scope, maxInFlightPerScope: 0 },
      "maxInFlightPerScope must be a whole number from 1 to 10000, got 0",
    ],
    ["required", { pool, scope, required: "yes" }, "required must be true or false"],
    ["mismatch", { pool, scope, mismatch: 1 }, "mismatch must be 'replay' or 'reject', got 1"],
    ["inFlight", { pool, scope, inFlight: "queue" }, "inFlight must be 'wait' or 'reject'"],
    [
      "waitMs",
      { pool, scope, waitMs: -1 },
      "waitMs must be a whole number from 0 to 120000, got -1",
    ],
    [
      "retentionMs",
      { pool, scope, retentionMs: 24 },
      "retentionMs must be a whole number from 1000 to",
    ],
    ["fenceMs", { pool, scope, fenceMs: 24 }, "fenceMs must be a whole number from 1000 to"],
    [
      "fenceMs below retentionMs",
      { pool, scope, retentionMs: 60_000, fenceMs: 59_999 },
      "fenceMs must be at least retentionMs (60000), got 59999",
    ],
    [
      "fenceMs below the default of retentionMs",
      { pool, scope, fenceMs: 3_600_000 },
      "fenceMs must be at least retentionMs (86400000), got 3600000",
    ],
    [
      "maxKeyAgeMs above fenceMs",
      { pool, scope, maxKeyAgeMs: 2_592_000_001 },
      "maxKeyAgeMs must be at most fenceMs (2592000000), got 2592000001",
    ],
    [
      "fingerprint",
      { pool, scope, fingerprint: "body" },
      "fingerprint must be a function of the request",
    ],
    [
      "storeStatus",
      { pool, scope, storeStatus: [200] },
      "storeStatus must be a function of the status",
    ],
    [
      "storeHeaders",
      { pool, scope, storeHeaders: "etag" },
      "storeHeaders must be a list of header names",
    ],
    [
      "a header that is no name",
      { pool, scope, storeHeaders: ["a b"] },
      "storeHeaders must be a list of header names",
    ],
    [
      "a header that is one reader's",
      { pool, scope, storeHeaders: ["Set-Cookie"] },
      "must not name set-cookie",
    ],
    [
      "problemBaseUri",
      { pool, scope, problemBaseUri: "/problems" },
      "problemBaseUri must be an absolute URI",
    ],
    [
      "lease",
      { pool, scope, lease: "30s" },
      "lease must be an object with durationMs, onCrash, got a string",
    ],
    [
      "lease.durationMs",
      { pool, scope, lease: { onCrash: "fail", durationMs: 10 } },
      "lease.durationMs must be a whole number from 1000 to 600000",
    ],
    [
      "lease.onCrash",
      { pool, scope, lease: { onCrash: "retry" } },
      "lease.onCrash must be 'rerun', 'fail' or a function",
    ],
    ["global", { pool, scope, global: "POST" }, "global must be true or false"],
    [
      "maxResponseBytes",
      { pool, scope, maxResponseBytes: -1 },
      "maxResponseBytes must be a whole number from 0 to 67108864",
    ],
    ["key", { pool, scope, key: "x-key" }, "key must be a function of the request"],
    [
      "maxKeyAgeMs",
      { pool, scope, maxKeyAgeMs: 1 },
      "maxKeyAgeMs must be a whole number from 1000 to",
    ],
    [
      "replayCache",
      { pool, scope, replayCache: 100 },
      "replayCache must be true, false or an object with maxEntries, maxBytes, got 100",
    ],
    [
      "replayCache.maxBytes",
      { pool, scope, replayCache: { maxBytes: 0 } },
      "replayCache.maxBytes must be a whole number",
    ],
    [
      "sweep",
      { pool, scope, sweep: true },
      "sweep must be false or an object with intervalMs, batchSize, got true",
    ],
    [
      "sweep.batchSize",
      { pool, scope, sweep: { batchSize: 1e6 } },
      "sweep.batchSize must be a whole number from 1 to 10000",
    ],
    ["docsUrl", { pool, scope, docsUrl: "/docs" }, "docsUrl must be an absolute URL or false"],
    [
      "an unknown name",
      { pool, scope, ttl: 1 },
      "unknown idempotency option ttl; allowed are digestSecret, docsUrl, encryption",
    ],
    ["a name of Object", { pool, scope, toString: 1 }, "unknown idempotency option toString"],
  ])("refuses %s by name", async (_name, options, message) => {
    expect(() => checkOptions(options as unknown as IdempotencyOptions)).toThrow(message);
    await expect(
      Fastify().register(idempotency, options as unknown as IdempotencyOptions),
    ).rejects.toThrow(message);
  });

  it("takes an explicit undefined for the default", () => {
    const registered = { pool, scope, waitMs: undefined } as unknown as IdempotencyOptions;
    checkOptions(registered);
    expect(resolveRouteOptions(registered, {}, "POST /pay").waitMs).toBe(10_000);
  });
});

describe("options of a route", () => {
  it("come before those of the registration, which come before the defaults", () => {
    const registered: IdempotencyOptions = { pool, scope, waitMs: 1, mismatch: "reject" };
    const options = resolveRouteOptions(registered, { waitMs: 2 }, "POST /pay");
    expect(options).toMatchObject({
      waitMs: 2,
      mismatch: "reject",
      inFlight: "wait",
      required: true,
    });
  });

  it.each(["pool", "schema", "ttl"])("do not include %s", (name) => {
    expect(() => resolveRouteOptions({ pool, scope }, { [name]: 1 }, "POST /pay")).toThrow(
      `POST /pay: unknown idempotency option ${name}`,
    );
  });

  it.each<[unknown, string]>([
    [{ mismatch: "ignore" }, "POST /pay: mismatch must be 'replay' or 'reject'"],
    ["yes", "POST /pay: config.idempotency must be true, false or an object of options"],
    [null, "POST /pay: config.idempotency must be true, false or an object of options"],
  ])("are checked as the route is added: %j", async (own, message) => {
    const app = Fastify();
    await app.register(idempotency, { pool, scope });
    const config = { idempotency: own } as { idempotency: boolean };
    expect(() => app.post("/pay", { config }, async () => "")).toThrow(message);
  });

  it("are refused on a method without effects", async () => {
    const app = Fastify();
    await app.register(idempotency, { pool, scope });
    expect(() => app.get("/pay", { config: { idempotency: true } }, async () => "")).toThrow(
      "for methods with effects, not GET",
    );
  });
});

describe("what is kept", () => {
  const { storeStatus, storeHeaders } = resolveRouteOptions({ pool, scope }, {}, "POST /pay");

  it("is every 2xx and 3xx, and of 4xx what is final", () => {
    const kept = Array.from({ length: 500 }, (_, index) => index + 100).filter(storeStatus);
    expect(kept.filter((status) => status < 400)).toEqual(
      Array.from({ length: 200 }, (_, index) => index + 200),
    );
    expect([401, 403, 408, 409, 423, 424, 425, 429, 500, 503].filter(storeStatus)).toEqual([]);
    expect([400, 402, 404, 410, 422, 499].filter(storeStatus)).toEqual([
      400, 402, 404, 410, 422, 499,
    ]);
  });

  it("is every 2xx whatever storeStatus returns, and never a 5xx", () => {
    const none = resolveRouteOptions({ pool, scope }, { storeStatus: () => false }, "POST /pay");
    const all = resolveRouteOptions({ pool, scope }, { storeStatus: () => true }, "POST /pay");
    expect([200, 299, 302, 402].map(none.storeStatus)).toEqual([true, true, false, false]);
    expect([200, 409, 500, 199].map(all.storeStatus)).toEqual([true, true, false, false]);
  });

  it("is the content type, whatever list is given, in lower case", () => {
    expect(storeHeaders.has("location")).toBe(true);
    const own = resolveRouteOptions({ pool, scope }, { storeHeaders: ["X-Order"] }, "POST /pay");
    expect([...own.storeHeaders]).toEqual(["content-type", "x-order"]);
  });
});
