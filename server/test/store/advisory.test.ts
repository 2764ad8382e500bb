import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import {
  claimed,
  createTicket,
  effect,
  effects,
  response,
  txOf,
} from "../support/store-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await pool.query("create table effects (key text)");
});

describe("advisory store", () => {
  it("is fenced by the primary key: a record that came in despite the lock keeps the second effect out", async () => {
    const store = createAdvisoryStore(createStoreParts(pool, "oncekey"));
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    await effect(claim, ticket);
    await pool.query(
      `insert into oncekey.records (key, scope, target, fingerprint, status, headers, body, created_at, expires_at) values ($1, $2, $3, $4, 200, '[]', 'winner', now(), now() + interval '1 hour')`,
      [ticket.key, ticket.scope, ticket.target, ticket.fingerprint],
    );
    expect(await claim.complete(response("loser"), "keep")).toMatchObject({
      kind: "superseded",
      record: { response: { body: Buffer.from("winner") } },
    });
    expect(await effects(pool, ticket)).toBe(0);
  });

  it("sees the winner's record even when a look-up began before the winner committed", async () => {
    const store = createAdvisoryStore(createStoreParts(pool, "oncekey"));
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    await effect(claim, ticket);
    const polls = Promise.all(
      Array.from({ length: 40 }, async () => {
        for (;;) {
          const outcome = await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 });
          if (outcome.kind !== "in-flight") return outcome.kind;
        }
      }),
    );
    await claim.complete(response("made"), "keep");
    expect(new Set(await polls)).toEqual(new Set(["replay"]));
  });

  it("forces READ COMMITTED where the database's default is another level", async () => {
    const strict = database.pool({ options: "-c default_transaction_isolation=serializable" });
    const store = createAdvisoryStore(createStoreParts(strict, "oncekey"));
    const claim = await claimed(store, createTicket());
    const { rows } = await txOf(claim).query("show transaction_isolation");
    await claim.release("free");
    expect(rows).toEqual([{ transaction_isolation: "read committed" }]);
  });

  it("asks for a transaction that may write, which a standby refuses", async () => {
    const readOnly = database.pool({ options: "-c transaction_read_only=on" });
    const store = createAdvisoryStore(createStoreParts(readOnly, "oncekey"));
    const claim = await claimed(store, createTicket());
    const { rows } = await txOf(claim).query("show transaction_read_only");
    await claim.release("free");
    expect(rows).toEqual([{ transaction_read_only: "off" }]);
  });

  it.each([
    ["lowers", "0", { lock_timeout: "10s", statement_timeout: "30s", idle: "1min" }],
    ["leaves", "2s", { lock_timeout: "2s", statement_timeout: "2s", idle: "2s" }],
    ["lowers", "10min", { lock_timeout: "10s", statement_timeout: "30s", idle: "1min" }],
  ])("%s timeouts of %s for its own transaction only", async (_verb, set, expected) => {
    const limited = database.pool({
      max: 2,
      options: `-c lock_timeout=${set} -c statement_timeout=${set} -c idle_in_transaction_session_timeout=${set}`,
    });
    const store = createAdvisoryStore(createStoreParts(limited, "oncekey"));
    const read = `select current_setting('lock_timeout') as lock_timeout,
      current_setting('statement_timeout') as statement_timeout,
      current_setting('idle_in_transaction_session_timeout') as idle`;
    const claim = await claimed(store, createTicket());
    expect((await txOf(claim).query(read)).rows).toEqual([expected]);
    await claim.complete(response("made"), "keep");
    const after = set === "10min" ? "10min" : set;
    expect((await limited.query(read)).rows).toEqual([
      { lock_timeout: after, statement_timeout: after, idle: after },
    ]);
  });

  it("works on a pool with pipeline: true, where pg refuses query objects", async () => {
    const pipelined = database.pool({ pipeline: true });
    const store = createAdvisoryStore(createStoreParts(pipelined, "oncekey"));
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    await effect(claim, ticket);
    expect(await claim.complete(response("made"), "keep")).toMatchObject({ kind: "stored" });
    expect(await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 })).toMatchObject({
      record: { response: response("made") },
    });
    const failing = await claimed(store, { ...ticket, key: "failing" });
    await expect(txOf(failing).query("select 1 / 0")).rejects.toThrow();
    expect(await failing.complete(response("made"), "keep")).toMatchObject({ kind: "rolled-back" });
  });

  it("stores the record by itself if the handler ended the transaction all the same, and reports it", async () => {
    const store = createAdvisoryStore(createStoreParts(pool, "oncekey"));
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    await effect(claim, ticket);
    await txOf(claim).query("/* hidden */ commit");
    expect(await claim.complete(response("made"), "keep")).toMatchObject({
      kind: "stored",
      split: true,
    });
    expect(await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 })).toMatchObject({
      kind: "replay",
    });
  });

  it.each([
    "BEGIN",
    "start transaction",
    " commit;",
    "END",
    "abort",
    "ROLLBACK",
    "prepare transaction 'a'",
  ])("refuses %s from the handler, as text or in a query object", async (text) => {
    const store = createAdvisoryStore(createStoreParts(pool, "oncekey"));
    const claim = await claimed(store, createTicket());
    expect(() => txOf(claim).query(text)).toThrow("is refused on request.idempotency.tx");
    expect(() => txOf(claim).query({ text })).toThrow("use savepoints inside it");
    await claim.release("free");
  });

  it("takes savepoints from the handler, and what is rolled back to one is not kept", async () => {
    const store = createAdvisoryStore(createStoreParts(pool, "oncekey"));
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    await txOf(claim).query("savepoint a");
    await effect(claim, ticket);
    await txOf(claim).query("rollback to savepoint a");
    await txOf(claim).query("release savepoint a");
    expect(await claim.complete(response("made"), "keep")).toMatchObject({
      kind: "stored",
      split: false,
    });
    expect(await effects(pool, ticket)).toBe(0);
  });

  it("gives the handler a client that it can neither release nor use after the end", async () => {
    const store = createAdvisoryStore(createStoreParts(pool, "oncekey"));
    const claim = await claimed(store, createTicket());
    expect(() => txOf(claim).release()).toThrow("must not release it");
    await claim.release("free");
    await expect(txOf(claim).query("select 1")).rejects.toThrow("after its transaction had ended");
  });
});
