/** The contract on a running Citus: `ONCEKEY_CITUS` is the URL of an empty database there, one for each node that requests enter by. */
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import { randomUUID } from "node:crypto";
import { Writable } from "node:stream";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migrationScripts } from "../../src/cli/commands/migration-script.ts";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createRowStore } from "../../src/store/strategies/row.ts";
import { sweepBatch } from "../../src/store/maintenance/sweep-batch.ts";
import { openStoreParts } from "../../src/store/store-parts.ts";
import type { StoreParts } from "../../src/store/store-parts.ts";
import type { Store, Ticket } from "../../src/store/store.ts";
import { createUniqueStore } from "../../src/store/strategies/unique.ts";
import { createTicket, describeStore, RETENTION, response } from "../support/store-contract.ts";
import { describeTransactionalStore } from "../support/transaction-contract.ts";

const urls = (process.env["ONCEKEY_CITUS"] ?? "").split(",").filter((url) => url !== "");
const suite = urls.length === 0 ? "Citus (skipped: ONCEKEY_CITUS names no running one)" : "Citus";

const STRATEGIES: Readonly<Record<string, (parts: StoreParts) => Store>> = {
  advisory: createAdvisoryStore,
  unique: createUniqueStore,
  row: createRowStore,
  lease: (parts) => createLeaseStore(parts, 60_000),
};

describe.skipIf(urls.length === 0)(suite, () => {
  const pools: pg.Pool[] = [];
  const entry = (index: number): pg.Pool => {
    const pool = pools[index % pools.length];
    if (pool === undefined) throw new Error("no pool is open");
    return pool;
  };
  beforeAll(async () => {
    pools.push(...urls.map((connectionString) => new pg.Pool({ connectionString, max: 20 })));
    const coordinator = entry(0);
    await coordinator.query("drop schema if exists oncekey cascade; drop table if exists effects");
    for (const { sql } of await migrationScripts("oncekey", "distributed")) {
      await coordinator.query(sql);
    }
    // By its own text column, of the same collation as the scope: a shard of one lies beside that of the other.
    await coordinator.query("create table effects (key text, scope text)");
    await coordinator.query(
      "select create_distributed_table('effects', 'key', colocate_with => 'oncekey.records')",
    );
  });
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.end()));
  });

  for (const [name, create] of Object.entries(STRATEGIES)) {
    const underTest = { name, pool: () => entry(0), create };
    describeStore(underTest);
    if (name !== "lease") describeTransactionalStore(underTest);

    it(`${name}: duplicates through every node run the handler once, on every shard`, async () => {
      const stores = await Promise.all(
        pools.map(async (pool) => create(await openStoreParts(pool, "oncekey"))),
      );
      const tickets = Array.from({ length: 16 }, () => ({
        ...createTicket(),
        scope: randomUUID(),
      }));
      for (const ticket of tickets) expect(await duplicates(stores, ticket)).toBe(1);
    });

    it(`${name}: sweeps expired records off every shard, and no others`, async () => {
      const parts = await openStoreParts(entry(0), "oncekey");
      const store = create(parts);
      await entry(0).query("delete from oncekey.records");
      for (let index = 0; index < 24; index += 1) {
        await finish(store, { ...createTicket(), scope: randomUUID() });
      }
      await entry(0).query(
        "update oncekey.records set expires_at = statement_timestamp() - interval '1 second' where scope < '8'",
      );
      const expired = await count("expires_at <= statement_timestamp()");
      let swept = 0;
      for (let batch = -1; batch !== 0; swept += batch)
        batch = (await sweepBatch(parts, 100)).deleted;
      expect(swept).toBe(expired);
      expect(await count("true")).toBe(24 - expired);
    });
  }

  it("a duplicate that meets an uncommitted insert on another node gives up as soon as on one", async () => {
    const stores = await Promise.all(
      pools.map(async (pool) => createUniqueStore(await openStoreParts(pool, "oncekey"))),
    );
    for (let index = 0; index < 8; index += 1) {
      const ticket = { ...createTicket(), scope: randomUUID() };
      const [first, ...others] = stores;
      const outcome = await first?.begin(ticket, RETENTION);
      const met = await Promise.all(others.map((store) => store.begin(ticket, RETENTION)));
      expect(new Set(met.map(({ kind }) => kind))).toEqual(new Set(["in-flight"]));
      if (outcome?.kind === "claimed") await outcome.claim.release("free");
    }
  });

  it("reports at start-up which engine it found and what follows", async () => {
    const lines: string[] = [];
    const stream = new Writable({
      write(chunk, _encoding, done) {
        lines.push(String(chunk));
        done();
      },
    });
    const app = Fastify({ logger: { stream } });
    await app.register(idempotency, { pool: entry(0), scope: "single-tenant" });
    app.post("/pay", { config: { idempotency: true } }, async () => ({}));
    await app.ready();
    await app.close();
    expect(lines.join("")).toMatch(/with Citus [\d.-]+, records distributed by scope/);
  });

  async function count(where: string): Promise<number> {
    const { rows } = await entry(0).query<{ count: number }>(
      `select count(*)::int as count from oncekey.records where ${where}`,
    );
    return rows[0]?.count ?? -1;
  }
});

/** Returns how many of 24 claims at once, through all stores in turn, succeeded. */
async function duplicates(stores: readonly Store[], ticket: Ticket): Promise<number> {
  const kinds = await Promise.all(
    Array.from({ length: 24 }, async (_, index) => {
      const store = stores[index % stores.length];
      const outcome = await store?.begin(ticket, RETENTION);
      if (outcome?.kind === "claimed") await outcome.claim.complete(response("made"), "keep");
      return outcome?.kind;
    }),
  );
  expect(kinds).not.toContain("unavailable");
  return kinds.filter((kind) => kind === "claimed").length;
}

async function finish(store: Store, ticket: Ticket): Promise<void> {
  const outcome = await store.begin(ticket, RETENTION);
  if (outcome.kind !== "claimed") throw new Error(`expected a claim, got ${outcome.kind}`);
  await outcome.claim.complete(response("made"), "keep");
}
