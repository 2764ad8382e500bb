import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { Claim, Store, Ticket } from "../../src/store/store.ts";
import { countPatient } from "../support/patient-sessions.ts";
import { claimed, createTicket, response } from "../support/store-contract.ts";
import { createWire } from "@oncekey/test-support/wire/wire";
import type { Wire } from "@oncekey/test-support/wire/wire";

const RETENTION = { retentionMs: 60_000, fenceMs: 600_000 };
const LONG_MS = 60_000;

const database = withDatabase();
let pool: pg.Pool;
let one: Store;
let two: Store;
beforeAll(() => {
  pool = database.pool();
  one = createLeaseStore(createStoreParts(pool, "oncekey"), LONG_MS);
  two = createLeaseStore(createStoreParts(pool, "oncekey"), LONG_MS);
});

/** As if the lease had run out: the owner crashed, or was stopped for too long. */
async function runOut(ticket: Ticket): Promise<void> {
  await pool.query(
    "update oncekey.records set lease_until = statement_timestamp() where key = $1",
    [ticket.key],
  );
  await sleep(2);
}

/** Resolves when a beat has renewed the lease. */
async function renewed(ticket: Ticket): Promise<void> {
  const lease = async (): Promise<number> => {
    const { rows } = await pool.query<{ until: number }>(
      "select extract(epoch from lease_until)::float8 as until from oncekey.records where key = $1",
      [ticket.key],
    );
    return rows[0]?.until ?? 0;
  };
  const before = await lease();
  await expect.poll(lease).toBeGreaterThan(before);
}

async function takenOver(store: Store, ticket: Ticket): Promise<Claim> {
  const outcome = await store.begin(ticket, RETENTION);
  if (outcome.kind !== "crashed") throw new Error(`expected a crashed claim, got ${outcome.kind}`);
  return outcome.claim;
}

describe("lease store", () => {
  it("keeps its connection when a duplicate gives up waiting for a locked row", async () => {
    const ticket = createTicket();
    await runOut(ticket);
    const claim = await claimed(one, ticket);
    await runOut(ticket);
    const single = database.pool({ max: 1 });
    const opened: unknown[] = [];
    single.on("connect", (client) => opened.push(client));
    const waiter = createLeaseStore(createStoreParts(single, "oncekey"), LONG_MS);
    const locker = await pool.connect();
    await locker.query("begin");
    await locker.query("select from oncekey.records where key = $1 for update", [ticket.key]);
    for (let tries = 0; tries < 3; tries += 1)
      expect(await waiter.begin(ticket, RETENTION)).toEqual({ kind: "in-flight" });
    await locker.query("rollback");
    locker.release();
    expect(opened).toHaveLength(1);
    await claim.release("free");
  });

  it("holds no connection while the handler runs, and stores what it answers", async () => {
    const ticket = createTicket();
    const claim = await claimed(one, ticket);
    expect([claim.tx, claim.attempt, claim.signal.aborted]).toEqual([undefined, 1, false]);
    expect(pool.totalCount - pool.idleCount).toBe(0);
    expect(await two.begin(ticket, RETENTION)).toEqual({
      kind: "in-flight",
      fingerprint: ticket.fingerprint,
    });
    expect(await two.lookup(ticket)).toEqual({
      kind: "in-flight",
      fingerprint: ticket.fingerprint,
    });
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "stored" });
    expect(await two.begin(ticket, RETENTION)).toMatchObject({
      kind: "replay",
      record: { response: response("made") },
    });
    expect(await two.lookup(ticket)).toMatchObject({ kind: "replay" });
  });

  it("is taken over by exactly one of many where it ran out, which knows how often it was tried", async () => {
    const ticket = createTicket();
    await claimed(one, ticket);
    await runOut(ticket);
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? one : two).begin(ticket, RETENTION),
      ),
    );
    const crashed = outcomes.filter((outcome) => outcome.kind === "crashed");
    expect(crashed).toHaveLength(1);
    expect(crashed[0]?.claim.attempt).toBe(2);
    expect(new Set(outcomes.map(({ kind }) => kind))).toEqual(new Set(["crashed", "in-flight"]));
    await crashed[0]?.claim.complete(response("second"), "keep");
  });

  it("is not taken over for another request than the one that crashed", async () => {
    const ticket = createTicket();
    await claimed(one, ticket);
    await runOut(ticket);
    const other = { ...ticket, fingerprint: Buffer.from([9]) };
    const { fingerprint } = ticket;
    expect(await two.begin(other, RETENTION)).toEqual({ kind: "conflict" });
    await takenOver(two, ticket);
    expect(await one.begin(other, RETENTION)).toEqual({ kind: "in-flight", fingerprint });
  });

  it("changes nothing by a late answer of a robbed owner, who gets the stored one", async () => {
    const ticket = createTicket();
    const robbed = await claimed(one, ticket);
    await runOut(ticket);
    const owner = await takenOver(two, ticket);
    expect(await robbed.complete(response("late"), "keep"), "while the other runs").toEqual({
      kind: "lost",
    });
    await owner.complete(response("stored"), "keep");
    expect(await robbed.complete(response("late"), "keep")).toMatchObject({
      kind: "superseded",
      record: { response: response("stored") },
    });
    await robbed.release("free");
    expect(await one.lookup(ticket)).toMatchObject({ record: { response: response("stored") } });
  });

  it("lookup returns unknown once a lease ran out", async () => {
    const ticket = createTicket();
    await claimed(one, ticket);
    await runOut(ticket);
    expect(await two.lookup(ticket)).toEqual({ kind: "unknown" });
  });

  it("is free after an orderly release, and counts as crashed after a failed one", async () => {
    const ticket = createTicket();
    await (await claimed(one, ticket)).release("free");
    expect(await one.lookup(ticket)).toEqual({ kind: "absent" });
    await (await claimed(one, ticket)).release("failed");
    await sleep(2);
    expect((await takenOver(two, ticket)).attempt).toBe(2);
  });

  it("remembers finished steps through a takeover, and refuses those of a robbed owner", async () => {
    const ticket = createTicket();
    const robbed = await claimed(one, ticket);
    await robbed.steps?.write("charge", '"ch_1"');
    await runOut(ticket);
    const owner = await takenOver(two, ticket);
    expect(owner.steps?.read("charge")).toBe('"ch_1"');
    await expect(robbed.steps?.write("mail", '"sent"')).rejects.toThrow("another owner");
    expect(robbed.signal.aborted).toBe(true);
    await owner.complete(response("made"), "keep");
    const { rows } = await pool.query(
      "select steps, lease_until from oncekey.records where key = $1",
      [ticket.key],
    );
    expect(rows).toEqual([{ steps: null, lease_until: null }]);
  });

  it("counts an expired record as absent, and its steps and attempts with it", async () => {
    const ticket = createTicket();
    await (await claimed(one, ticket)).complete(response("first"), "keep");
    await pool.query(
      "update oncekey.records set expires_at = statement_timestamp(), fence_until = null where key = $1",
      [ticket.key],
    );
    await sleep(2);
    const claim = await claimed(one, ticket);
    expect([claim.attempt, claim.steps?.read("charge")]).toEqual([1, undefined]);
    await claim.release("free");
  });
});

describe("the heartbeat", () => {
  it("keeps a lease for as long as the handler runs, and stops with it", async () => {
    const ticket = createTicket();
    const store = createLeaseStore(createStoreParts(pool, "oncekey"), 4_500);
    const claim = await claimed(store, ticket);
    // A beat each 1.5 s: after the third, the first lease is over.
    for (let beats = 0; beats < 3; beats += 1) {
      await renewed(ticket);
      expect((await two.begin(ticket, RETENTION)).kind).toBe("in-flight");
    }
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "stored" });
  });

  it("aborts the signal of a claim that was taken over", async () => {
    const ticket = createTicket();
    // Long enough for its beats to come in time on a busy machine: a late beat would give another
    // result.
    const store = createLeaseStore(createStoreParts(pool, "oncekey"), 6_000);
    const robbed = await claimed(store, ticket);
    await runOut(ticket);
    // The beat may have renewed it in between: then it is run out again.
    let owner = await two.begin(ticket, RETENTION);
    while (owner.kind !== "crashed") {
      await runOut(ticket);
      owner = await two.begin(ticket, RETENTION);
    }
    await expect.poll(() => robbed.signal.aborted, { timeout: 30_000 }).toBe(true);
    expect(robbed.signal.reason).toMatchObject({
      name: "LeaseLostError",
      message: "another owner took the claim over",
    });
    await owner.claim.release("free");
  });

  it("aborts the signal where the lease could not be renewed in time", async () => {
    const { hostname, port } = new URL(database.url);
    const wire = await createWire({ host: hostname, port: Number(port) });
    const url = new URL(database.url);
    url.host = `127.0.0.1:${wire.port}`;
    const cut = new pg.Pool({ connectionString: url.href, connectionTimeoutMillis: 5_000 });
    cut.on("error", () => {});
    const claim = await claimed(
      createLeaseStore(createStoreParts(cut, "oncekey"), 600),
      createTicket(),
    );
    await wire.close();
    await expect.poll(() => claim.signal.aborted).toBe(true);
    expect(claim.signal.reason).toMatchObject({
      message: "the lease could not be renewed in time",
    });
    await cut.end();
  });
});

describe("a lost answer of the database", () => {
  it.each(["drop-answer", "drop-request"] as const)(
    "to a claim: it is asked again and recognised as one's own: %s",
    async (fault) => {
      await withRelay(async (store, wire) => {
        const ticket = createTicket();
        wire.onText("insert into", fault);
        const claim = await claimed(store, ticket);
        expect(claim.attempt).toBe(1);
        expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "stored" });
      });
    },
  );

  it("to a claim that is still committed: waits for that, and recognises it as one's own", async () => {
    const ticket = createTicket();
    await pool.query(`
      create function wait_at_commit() returns trigger language plpgsql set lock_timeout = 0 as
        $$ begin perform pg_advisory_xact_lock(4242); return null; end $$;
      create constraint trigger wait_at_commit after insert on oncekey.records
        deferrable initially deferred for each row when (new.key = '${ticket.key}') execute function wait_at_commit()`);
    const own = database.pool();
    const first = once(own, "connect") as Promise<[pg.PoolClient]>;
    const holder = await pool.connect();
    await holder.query("begin; select pg_advisory_xact_lock(4242)");
    let isOver = false;
    const claiming = createLeaseStore(createStoreParts(own, "oncekey"), LONG_MS)
      .begin(ticket, RETENTION)
      .finally(() => {
        isOver = true;
      });
    await expect.poll(() => countPatient(pool, "advisory")).toBe(1);
    const [lost] = await first;
    const { stream } = Reflect.get(lost, "connection") as { readonly stream: { destroy(): void } };
    stream.destroy();
    await expect
      .poll(async () => isOver || (await countPatient(pool, "transactionid")) === 1)
      .toBe(true);
    await holder.query("commit");
    holder.release();
    const outcome = await claiming;
    expect(outcome).toMatchObject({ kind: "claimed", claim: { attempt: 1 } });
    if (outcome.kind === "claimed") await outcome.claim.release("free");
    await pool.query("drop trigger wait_at_commit on oncekey.records");
  });

  it.each(["drop-answer", "drop-request"] as const)(
    "to a store: it is stored again, once: %s",
    async (fault) => {
      await withRelay(async (store, wire) => {
        const ticket = createTicket();
        const claim = await claimed(store, ticket);
        wire.onText("set status", fault);
        expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "stored" });
        expect(await two.begin(ticket, RETENTION)).toMatchObject({
          record: { response: response("made") },
        });
      });
    },
  );

  it("to a store, and the look-up comes after the retention: no other request is answered with it", async () => {
    const ticket = createTicket();
    const claim = await claimed(one, ticket);
    // As the lost answer left it, and as the clock found it.
    await pool.query(
      `update oncekey.records set status = 201, headers = '[]', lease_until = null,
         expires_at = statement_timestamp() - interval '1 second',
         fence_until = statement_timestamp() + interval '1 hour'
       where key = $1`,
      [ticket.key],
    );
    const completion = await claim.complete(response("made"), "keep");
    expect(completion).toMatchObject({ kind: "stored", lifetimeMs: 0 });
  });

  async function withRelay(use: (store: Store, wire: Wire) => Promise<void>): Promise<void> {
    const { hostname, port } = new URL(database.url);
    const wire = await createWire({ host: hostname, port: Number(port) });
    const url = new URL(database.url);
    url.host = `127.0.0.1:${wire.port}`;
    const relayed = new pg.Pool({ connectionString: url.href });
    relayed.on("error", () => {});
    await use(createLeaseStore(createStoreParts(relayed, "oncekey"), LONG_MS), wire);
    await relayed.end();
    await wire.close();
  }
});
