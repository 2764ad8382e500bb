import pg from "pg";
import { beforeAll, describe, expect, it, vi } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createReplayCache, withReplayCache } from "../../src/layers/replay-cache.ts";
import type { Waiting } from "../../src/layers/single-flight.ts";
import type { StoredRecord, Ticket } from "../../src/store/store.ts";
import { addPayments, createPayments, withShop } from "../support/shop.ts";
import { createWire } from "@oncekey/test-support/wire/wire";

function ticket(key: string, scope = "s"): Ticket {
  return { key, scope, target: "POST /pay", fingerprint: Buffer.from([1]) };
}

function record(bytes: number, lifetimeMs = 60_000): StoredRecord {
  return {
    fingerprint: Buffer.from([1]),
    response: { status: 200, headers: [], body: Buffer.alloc(bytes) },
    lifetimeMs,
    fenceMs: lifetimeMs,
    askedAt: performance.now(),
  };
}

// Never asked: what they are is enough.
const onePool = new pg.Pool();
const otherPool = new pg.Pool();

describe("the replay cache", () => {
  it("answers the same scope, target and key, and no other", () => {
    const cache = createReplayCache({});
    cache.set(onePool, ticket("a"), record(10));
    expect(cache.get(onePool, ticket("a"))).toMatchObject({ response: { status: 200 } });
    expect([
      cache.get(onePool, ticket("a", "other")),
      cache.get(onePool, ticket("b")),
      cache.get(onePool, { ...ticket("a"), target: "POST /else" }),
    ]).toEqual([undefined, undefined, undefined]);
  });

  it("is bounded by entries: the least used go first", () => {
    const cache = createReplayCache({ maxEntries: 2 });
    for (const key of ["a", "b"]) cache.set(onePool, ticket(key), record(10));
    cache.get(onePool, ticket("a"));
    cache.set(onePool, ticket("c"), record(10));
    expect(["a", "b", "c"].filter((key) => cache.get(onePool, ticket(key)) !== undefined)).toEqual([
      "a",
      "c",
    ]);
  });

  it("is bounded by bytes, and keeps nothing that is larger than it", () => {
    const cache = createReplayCache({ maxBytes: 10_000 });
    cache.set(onePool, ticket("a"), record(5_000));
    cache.set(onePool, ticket("b"), record(5_000));
    expect([
      cache.get(onePool, ticket("a")) !== undefined,
      cache.get(onePool, ticket("b")) !== undefined,
    ]).toEqual([false, true]);
    cache.set(onePool, ticket("c"), record(20_000));
    expect(cache.get(onePool, ticket("c"))).toBeUndefined();
  });

  it("counts names, headers and the records themselves as bytes, too", () => {
    const cache = createReplayCache({ maxBytes: 5_000 });
    const long = "x".repeat(3_000);
    const named = record(0);
    cache.set(onePool, ticket(long), named);
    expect(cache.get(onePool, ticket(long))).toBeUndefined();
    for (const header of [["x-long", long] as const, [long, ""] as const]) {
      const response = { ...named.response, headers: [header] };
      cache.set(onePool, ticket("a"), { ...named, response });
      expect(cache.get(onePool, ticket("a"))).toBeUndefined();
    }
    const empty = { ...named, response: { ...named.response, body: undefined } } as StoredRecord;
    const keys = Array.from({ length: 20 }, (_, index) => `key-${index}`);
    for (const key of keys) cache.set(onePool, ticket(key), empty);
    const kept = keys.filter((key) => cache.get(onePool, ticket(key)) !== undefined);
    expect(kept.length).toBeGreaterThan(0);
    expect(kept.length).toBeLessThan(keys.length);
  });

  it("gives the place of a record that is over to the next one", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const cache = createReplayCache({ maxEntries: 2 });
      cache.set(onePool, ticket("over"), record(1, 1_000));
      cache.set(onePool, ticket("kept"), record(1));
      vi.advanceTimersByTime(1_000);
      expect(cache.get(onePool, ticket("over"))).toBeUndefined();
      cache.set(onePool, ticket("next"), record(1));
      expect(cache.get(onePool, ticket("kept"))).toBeDefined();
    } finally {
      vi.useRealTimers();
    }
  });

  it("never outlives the retention, and no record more than a minute", () => {
    vi.useFakeTimers({ toFake: ["performance"] });
    try {
      const cache = createReplayCache({});
      cache.set(onePool, ticket("short"), record(1, 1_000));
      cache.set(onePool, ticket("long"), record(1, 86_400_000));
      vi.advanceTimersByTime(999);
      expect(cache.get(onePool, ticket("short"))).toBeDefined();
      vi.advanceTimersByTime(1);
      expect([
        cache.get(onePool, ticket("short")),
        cache.get(onePool, ticket("long")) !== undefined,
      ]).toEqual([undefined, true]);
      vi.advanceTimersByTime(59_000);
      expect(cache.get(onePool, ticket("long"))).toBeUndefined();
    } finally {
      vi.useRealTimers();
    }
  });

  it("forgets one", () => {
    const cache = createReplayCache({});
    for (const key of ["a", "b"]) cache.set(onePool, ticket(key), record(1));
    cache.forget(onePool, ticket("a"));
    expect([
      cache.get(onePool, ticket("a")),
      cache.get(onePool, ticket("b")) !== undefined,
    ]).toEqual([undefined, true]);
  });

  it("forgets a scope in one pool, and no scope whose name only begins like it", () => {
    const cache = createReplayCache({});
    const tickets = [ticket("a", "ann"), ticket("b", "ann"), ticket("a", "anna")];
    for (const one of tickets) cache.set(onePool, one, record(1));
    cache.set(otherPool, ticket("a", "ann"), record(1));
    cache.forgetScope(onePool, "ann");
    const left = tickets.map((one) => cache.get(onePool, one) !== undefined);
    expect(left).toEqual([false, false, true]);
    expect(cache.get(otherPool, ticket("a", "ann"))).toBeDefined();
  });

  it("keeps, forgets and counts by onePool: the same ticket in another one is another's", () => {
    const cache = createReplayCache({ maxEntries: 2 });
    cache.set(onePool, ticket("a"), record(10));
    expect(cache.get(otherPool, ticket("a"))).toBeUndefined();
    cache.set(otherPool, ticket("a"), record(20));
    cache.forget(otherPool, ticket("a"));
    expect(cache.get(onePool, ticket("a"))?.response.body).toHaveLength(10);
    for (const key of ["b", "c"]) cache.set(otherPool, ticket(key), record(20));
    expect(cache.get(onePool, ticket("a")), "the least used of the process").toBeUndefined();
  });
});

describe("a route with the replay cache", () => {
  const waiting: Waiting = {
    inFlight: "wait",
    waitMs: 1_000,
    mismatch: "replay",
    retentionMs: 60_000,
    fenceMs: 60_000,
  };

  /** A route whose next layer answers `in-flight`, and what was asked of that. */
  function createRoute() {
    const asked: unknown[][] = [];
    let keep = (_ticket: Ticket, _record: StoredRecord): void => {};
    const note =
      (name: string) =>
      (...given: readonly unknown[]) => {
        asked.push([name, ...given]);
        return { kind: "in-flight" } as const;
      };
    const cache = createReplayCache({});
    const route = withReplayCache(
      (onRecord) => {
        keep = onRecord;
        const members = ["begin", "lookup", "forget", "forgetScope"];
        return Object.fromEntries(members.map((name) => [name, note(name)])) as never;
      },
      cache,
      onePool,
    );
    return { route, cache, asked, keep: (one: Ticket, found: StoredRecord) => keep(one, found) };
  }

  it("asks the next layer for what it does not have", () => {
    const { route, asked } = createRoute();
    const onWait = (): void => {};
    expect(route.begin(ticket("a"), waiting, onWait)).toEqual({ kind: "in-flight" });
    expect(route.lookup(ticket("a"), waiting)).toEqual({ kind: "in-flight" });
    expect(asked).toEqual([
      ["begin", ticket("a"), waiting, onWait],
      ["lookup", ticket("a"), waiting],
    ]);
  });

  it("replays each record that came by, and asks no more", () => {
    const { route, asked, keep } = createRoute();
    const kept = record(1);
    keep(ticket("a"), kept);
    const replay = { kind: "replay", record: kept };
    expect(route.begin(ticket("a"), waiting, () => {})).toEqual(replay);
    expect(route.lookup(ticket("a"), waiting)).toEqual(replay);
    expect(asked).toEqual([]);
  });

  it("forgets a record or a scope in all layers", () => {
    const { route, asked, keep, cache } = createRoute();
    for (const key of ["a", "b"]) keep(ticket(key), record(1));
    route.forget(ticket("a"));
    expect(cache.get(onePool, ticket("a"))).toBeUndefined();
    expect(cache.get(onePool, ticket("b"))).toBeDefined();
    route.forgetScope("s");
    expect(cache.get(onePool, ticket("b"))).toBeUndefined();
    expect(asked).toEqual([
      ["forget", ticket("a")],
      ["forgetScope", "s"],
    ]);
  });
});

describe("a replay from the process", () => {
  const database = withDatabase();
  let pool: pg.Pool;
  beforeAll(async () => {
    pool = database.pool();
    await createPayments(pool);
  });

  it("asks no database, and is the same answer", async () => {
    const { hostname, port } = new URL(database.url);
    const wire = await createWire({ host: hostname, port: Number(port) });
    const url = new URL(database.url);
    url.host = `127.0.0.1:${wire.port}`;
    const relayed = database.pool({ connectionString: url.href });
    await withShop(
      { pool: relayed, replayCache: true },
      (app) => addPayments(app),
      async ({ post }) => {
        const request = { key: "cached", json: { amount: 1 } };
        const first = await post("/payments", request);
        wire.reset();
        const again = await post("/payments", request);
        const other = await post("/payments", { ...request, json: { amount: 2 } });
        expect(wire.trips()).toBe(0);
        expect(again.bytes).toEqual(first.bytes);
        expect(again.headers.get("idempotent-replayed")).toBe("true");
        expect(other.headers.get("idempotency-mismatch")).toBe("true");
        expect(
          (
            await post("/payments", {
              ...request,
              headers: { "idempotency-only-if-stored": "true" },
            })
          ).bytes,
        ).toEqual(first.bytes);
      },
    );
    await relayed.end();
    await wire.close();
  });

  it("is off if the route turns it off", async () => {
    await withShop(
      { pool, replayCache: true },
      (app) => addPayments(app, { replayCache: false }),
      async ({ post }) => {
        const request = { key: "uncached", json: { amount: 1 } };
        await post("/payments", request);
        await pool.query("delete from oncekey.records where key = 'uncached'");
        expect((await post("/payments", request)).headers.get("idempotent-replayed")).toBeNull();
      },
    );
  });
});
