import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { Claim, Store, Ticket } from "../../src/store/store.ts";
import {
  claimed,
  createTicket,
  effect,
  effects,
  response,
  txOf,
} from "../support/store-contract.ts";
import { withShop } from "../support/shop.ts";
import { createWire } from "@oncekey/test-support/wire/wire";
import type { Wire } from "@oncekey/test-support/wire/wire";

const database = withDatabase();
let pool: pg.Pool;
let wire: Wire;
let relayed: pg.Pool;
let store: Store;

beforeAll(async () => {
  pool = database.pool();
  await pool.query("create table effects (key text)");
  const { hostname, port } = new URL(database.url);
  wire = await createWire({ host: hostname, port: Number(port) });
  const url = new URL(database.url);
  url.host = `127.0.0.1:${wire.port}`;
  relayed = database.pool({ connectionString: url.href, max: 3 });
  store = createAdvisoryStore(createStoreParts(relayed, "oncekey"));
});
afterEach(() => vi.useRealTimers());
afterAll(async () => {
  await relayed.end();
  await wire.close();
});

async function claimWithEffect(ticket: Ticket): Promise<Claim> {
  const claim = await claimed(store, ticket);
  await effect(claim, ticket);
  return claim;
}

describe("a commit whose outcome is not known", () => {
  it.each([
    ["drop-answer", 1],
    ["drop-request", 0],
    ["panic", 1],
  ] as const)("is never guessed, and the next look-up decides: %s", async (fault, expected) => {
    const ticket = createTicket();
    const claim = await claimWithEffect(ticket);
    wire.onText("commit", fault);
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "unknown" });
    const after = await decided(ticket);
    expect(after.kind).toBe(expected === 1 ? "replay" : "claimed");
    if (after.kind === "claimed") await after.claim.release("free");
    expect(await effects(pool, ticket)).toBe(expected);
  });

  it("is bounded by a timer of our own where nothing comes back at all", async () => {
    const ticket = createTicket();
    const claim = await claimWithEffect(ticket);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    wire.onText("commit", "silence");
    const completion = claim.complete(response("made"), "keep");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await completion).toMatchObject({
      kind: "unknown",
      cause: { name: "DatabaseTimeoutError" },
    });
    vi.useRealTimers();
    expect((await decided(ticket)).kind).toBe("replay");
    expect(await effects(pool, ticket)).toBe(1);
  });

  /** Asks until the backend of the broken line has ended its transaction, either way. */
  async function decided(ticket: Ticket) {
    for (;;) {
      const outcome = await createAdvisoryStore(createStoreParts(pool, "oncekey")).begin(ticket, {
        retentionMs: 60_000,
        fenceMs: 60_000,
      });
      if (outcome.kind !== "in-flight") return outcome;
    }
  }
});

describe("a begin that gets no answer", () => {
  it.each(["drop-request", "drop-answer"] as const)(
    "is unavailable, and keeps neither lock nor connection: %s",
    async (fault) => {
      const ticket = createTicket();
      wire.onText("pg_try_advisory_xact_lock", fault);
      expect(await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 })).toMatchObject({
        kind: "unavailable",
      });
      expect(relayed.totalCount - relayed.idleCount).toBe(0);
      await (await claimed(store, ticket)).release("free");
    },
  );

  it("is unavailable if the tables are missing, and hides the cause from the caller", async () => {
    const elsewhere = createAdvisoryStore(createStoreParts(pool, "nowhere"));
    const outcome = await elsewhere.begin(createTicket(), { retentionMs: 60_000, fenceMs: 60_000 });
    expect(outcome).toMatchObject({
      kind: "unavailable",
      detail: "The idempotency store did not answer",
    });
    expect(outcome.kind === "unavailable" && String(outcome.cause)).toContain("does not exist");
  });

  it("is unavailable where the database cannot be reached", async () => {
    const nobody = new pg.Pool({ host: "127.0.0.1", port: 1, connectionTimeoutMillis: 500 });
    expect(
      await createAdvisoryStore(createStoreParts(nobody, "oncekey")).begin(createTicket(), {
        retentionMs: 60_000,
        fenceMs: 60_000,
      }),
    ).toMatchObject({ kind: "unavailable", detail: "No database connection could be made" });
    await nobody.end();
  });
});

describe("a resolve() that gets no answer", () => {
  it("does not leave the earlier answer in the memory of the process", async () => {
    const strategy = { strategy: "lease", lease: { onCrash: "fail" } } as const;
    await withShop(
      { pool: relayed, sweep: false, replayCache: true, ...strategy },
      (app) =>
        app.post("/charge", { config: { idempotency: true } }, () => {
          throw new Error("the handler dies");
        }),
      async ({ app, post }) => {
        const charge = async () => (await post("/charge", { key: "closed" })).status;
        expect([await charge(), await charge()]).toEqual([500, 500]);
        wire.onText('insert into "oncekey".decisions', "drop-answer");
        const address = { key: "closed", scope: "single-tenant", target: "POST /charge" };
        const decision = { by: "ada", reason: "ticket 42" };
        await expect(app.idempotency.resolve(address, { status: 204 }, decision)).rejects.toThrow();
        expect(await charge()).toBe(204);
      },
    );
  });
});

describe("a backend that is killed", () => {
  async function kill(claim: Claim): Promise<void> {
    const { rows } = await txOf(claim).query<{ pid: number }>("select pg_backend_pid() as pid");
    const ended = new Promise((resolve) => txOf(claim).once("end", resolve));
    await pool.query("select pg_terminate_backend($1)", [rows[0]?.pid]);
    await ended;
  }

  it("between the handler's statements does not end the process, and nothing is kept", async () => {
    const ticket = createTicket();
    const claim = await claimWithEffect(ticket);
    await kill(claim);
    await expect(txOf(claim).query("select 1")).rejects.toThrow();
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "unknown" });
    expect(await effects(pool, ticket)).toBe(0);
    await (await claimed(store, ticket)).release("free");
  });

  it("at the very moment at which its connection is handed over does not end the process", async () => {
    const { hostname, port } = new URL(database.url);
    const dying = await createWire({ host: hostname, port: Number(port) });
    const url = new URL(database.url);
    url.host = `127.0.0.1:${dying.port}`;
    const own = database.pool({ connectionString: url.href, max: 2 });
    const fresh = createAdvisoryStore(createStoreParts(own, "oncekey"));
    dying.shutDownOnReady();
    const ticket = createTicket();
    expect(await fresh.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 })).toMatchObject({
      kind: "unavailable",
    });
    await (await claimed(fresh, ticket)).release("free");
    await own.end();
    await dying.close();
  });

  it("before a release does no harm to it", async () => {
    const claim = await claimWithEffect(createTicket());
    await kill(claim);
    await claim.release("free");
    expect(relayed.totalCount - relayed.idleCount).toBe(0);
  });

  it("during a statement of the handler fails that statement", async () => {
    const ticket = createTicket();
    const claim = await claimWithEffect(ticket);
    const { rows } = await txOf(claim).query<{ pid: number }>("select pg_backend_pid() as pid");
    const sleeping = txOf(claim).query("select pg_sleep(30)");
    const failed = expect(sleeping).rejects.toThrow();
    await pool.query("select pg_terminate_backend($1)", [rows[0]?.pid]);
    await failed;
    await claim.release("free");
    expect(await effects(pool, ticket)).toBe(0);
  });

  it("while it idles in the pool of a server does not end the process", async () => {
    const { idempotency } = await import("@oncekey/server");
    const app = (await import("fastify")).default();
    const own = new pg.Pool({ connectionString: database.url, max: 2 });
    await app.register(idempotency, { pool: own, scope: "single-tenant" });
    const { rows } = await own.query<{ pid: number }>("select pg_backend_pid() as pid");
    const removed = new Promise((resolve) => own.once("remove", resolve));
    await pool.query("select pg_terminate_backend($1)", [rows[0]?.pid]);
    await removed;
    expect((await own.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
    await app.close();
    expect(own.listenerCount("error")).toBe(0);
    await own.end();
  });
});

describe("what the database reports at COMMIT", () => {
  it("a constraint that is checked at COMMIT rolls everything back", async () => {
    await pool.query(`
      create table if not exists deferred (
        id int primary key, parent int references deferred deferrable initially deferred
      )`);
    const ticket = createTicket();
    const claim = await claimWithEffect(ticket);
    await txOf(claim).query("insert into deferred values (1, 2)");
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "rolled-back" });
    expect(await effects(pool, ticket)).toBe(0);
    expect(await store.lookup(ticket)).toEqual({ kind: "absent" });
  });
});
