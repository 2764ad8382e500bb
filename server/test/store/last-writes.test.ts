import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createWire } from "@oncekey/test-support/wire/wire";
import type { Wire } from "@oncekey/test-support/wire/wire";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { Claim, CommitWrites, Store, Ticket } from "../../src/store/store.ts";
import { claimed, createTicket, effects, response } from "../support/store-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
let wire: Wire;
let relayed: pg.Pool;
let store: Store;

beforeAll(async () => {
  pool = database.pool();
  await pool.query("create table effects (key text)");
  const url = new URL(database.url);
  wire = await createWire({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${wire.port}`;
  relayed = database.pool({ connectionString: url.href, max: 3 });
  store = createLeaseStore(createStoreParts(relayed, "oncekey"), 60_000);
});
afterAll(async () => {
  await relayed.end();
  await wire.close();
});

function commitOf(claim: Claim): CommitWrites {
  if (claim.lastWrites === undefined) throw new Error("a lease opens a transaction");
  return claim.lastWrites.commit;
}

/** Claims a ticket and writes one effect, which waits for the response. */
async function claimWithWrites(ticket: Ticket): Promise<Claim> {
  const claim = await claimed(store, ticket);
  await commitOf(claim)((tx) => tx.query("insert into effects values ($1)", [ticket.key]));
  return claim;
}

function inUse(): number {
  return relayed.totalCount - relayed.idleCount;
}

describe("the last writes of a lease", () => {
  it("commit with the response, and not before", async () => {
    const ticket = createTicket();
    const claim = await claimWithWrites(ticket);
    expect([await effects(pool, ticket), inUse()]).toEqual([0, 1]);
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "stored" });
    expect([await effects(pool, ticket), inUse()]).toEqual([1, 0]);
    expect(await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 })).toMatchObject({
      kind: "replay",
    });
  });

  it("are rolled back if the handler threw a final refusal, whose response is stored", async () => {
    const ticket = createTicket();
    const claim = await claimWithWrites(ticket);
    expect(await claim.complete(response("no"), "discard")).toMatchObject({ kind: "stored" });
    expect([await effects(pool, ticket), inUse()]).toEqual([0, 0]);
    expect(await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 })).toMatchObject({
      kind: "replay",
    });
  });

  it.each(["free", "refused", "failed"] as const)(
    "are rolled back by a release: %s",
    async (how) => {
      const ticket = createTicket();
      const claim = await claimWithWrites(ticket);
      await claim.release(how);
      expect([await effects(pool, ticket), inUse()]).toEqual([0, 0]);
      const next = await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 });
      expect(next.kind).toBe(how === "failed" ? "crashed" : "claimed");
    },
  );

  it("are fenced: an owner that lost its lease commits nothing", async () => {
    const ticket = createTicket();
    const robbed = await claimWithWrites(ticket);
    await expire(ticket);
    const owner = await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 });
    if (owner.kind !== "crashed") throw new Error(owner.kind);
    expect(await robbed.complete(response("robbed"), "keep")).toEqual({ kind: "lost" });
    expect(robbed.signal.aborted).toBe(true);
    await commitOf(owner.claim)((tx) => tx.query("insert into effects values ($1)", [ticket.key]));
    await owner.claim.complete(response("owner"), "keep");
    expect([await effects(pool, ticket), inUse()]).toEqual([1, 0]);
  });

  it("are rolled back if another owner has finished, and its record is the answer", async () => {
    const ticket = createTicket();
    const robbed = await claimWithWrites(ticket);
    await expire(ticket);
    const owner = await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 });
    if (owner.kind !== "crashed") throw new Error(owner.kind);
    await owner.claim.complete(response("owner"), "keep");
    const completion = await robbed.complete(response("robbed"), "keep");
    expect(completion).toMatchObject({
      kind: "superseded",
      record: { response: response("owner") },
    });
    expect(await effects(pool, ticket)).toBe(0);
  });

  it("leave the key crashed if the database refuses them at the COMMIT: what was charged stands", async () => {
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    await commitOf(claim)(async (tx) => {
      await tx.query("create temp table late (id int unique deferrable initially deferred)");
      await tx.query("insert into late values (1), (1)");
    });
    const completion = await claim.complete(response("made"), "keep");
    expect(completion).toMatchObject({
      kind: "rolled-back",
      isFinal: true,
      cause: { code: "23505" },
    });
    expect((await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 })).kind).toBe(
      "crashed",
    );
    expect(inUse()).toBe(0);
  });

  it("leave the key crashed if the handler caught an error of theirs", async () => {
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    await commitOf(claim)((tx) => tx.query("select 1 / 0").catch(() => undefined));
    const completion = await claim.complete(response("made"), "keep");
    expect(completion).toMatchObject({ kind: "rolled-back", cause: { code: "22012" } });
    expect((await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 })).kind).toBe(
      "crashed",
    );
  });

  it.each([
    ["drop-answer", "stored", 1],
    ["panic", "stored", 1],
    ["drop-request", "unknown", 0],
  ] as const)("find out by a look-up what a lost COMMIT did: %s", async (fault, kind, count) => {
    const ticket = createTicket();
    const claim = await claimWithWrites(ticket);
    wire.onText("commit\0", fault);
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind });
    expect(await effects(pool, ticket)).toBe(count);
  });

  it("may be begun again if they failed, and once only if not", async () => {
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    const commit = commitOf(claim);
    await expect(commit((tx) => tx.query("select 1 / 0"))).rejects.toThrow("division by zero");
    expect(inUse()).toBe(0);
    await commit((tx) => tx.query("insert into effects values ($1)", [ticket.key]));
    await expect(commit(() => 1)).rejects.toThrow("commit() was called twice in one run");
    await claim.complete(response("made"), "keep");
    await expect(commit(() => 1)).rejects.toThrow("after the reply");
    expect(await effects(pool, ticket)).toBe(1);
  });

  it("are rolled back, and nothing is stored, if the reply comes before they have ended", async () => {
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    const { promise, resolve } = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const writes = commitOf(claim)(async (tx) => {
      await tx.query("insert into effects values ($1)", [ticket.key]);
      begun.resolve();
      await promise;
    });
    await begun.promise;
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "rolled-back" });
    resolve();
    await expect(writes).rejects.toThrow("before commit() had ended");
    expect([await effects(pool, ticket), inUse()]).toEqual([0, 0]);
  });

  it("report the store as unavailable if no connection becomes free", async () => {
    const ended = database.pool();
    await ended.end();
    const claim = await createLeaseStore(createStoreParts(ended, "oncekey"), 60_000).open();
    if (claim.kind !== "claimed") throw new Error(claim.kind);
    const writes = commitOf(claim.claim)(() => 1);
    await expect(writes).rejects.toMatchObject({ statusCode: 503 });
  });

  it("commit with the reply of a request without a key as well", async () => {
    const ticket = createTicket();
    const outcome = await store.open();
    if (outcome.kind !== "claimed") throw new Error(outcome.kind);
    const { claim } = outcome;
    await commitOf(claim)((tx) => tx.query("insert into effects values ($1)", [ticket.key]));
    expect(await effects(pool, ticket)).toBe(0);
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "stored" });
    expect([await effects(pool, ticket), inUse()]).toEqual([1, 0]);
  });
});

async function expire({ key }: Ticket): Promise<void> {
  await pool.query(
    "update oncekey.records set lease_until = statement_timestamp() - interval '1 second' where key = $1",
    [key],
  );
}
