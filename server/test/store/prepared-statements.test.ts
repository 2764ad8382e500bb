/** Named prepared statements: the pools that use them, the number of parses, and lost sessions. */
import type { Socket } from "node:net";
import type pg from "pg";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { hasPgBouncer, withPgBouncer } from "@oncekey/test-support/postgres/pgbouncer";
import { createWire } from "@oncekey/test-support/wire/wire";
import type { Wire } from "@oncekey/test-support/wire/wire";
import { selfTest } from "../../src/store/maintenance/self-test.ts";
import { encodeBatch, StatementNames } from "../../src/store/postgres/encode.ts";
import { allowNames } from "../../src/store/postgres/session.ts";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createRowStore } from "../../src/store/strategies/row.ts";
import { createUniqueStore } from "../../src/store/strategies/unique.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { StoreParts } from "../../src/store/store-parts.ts";
import type { Store, Ticket } from "../../src/store/store.ts";
import { countPayments, createPayments, withShop } from "../support/shop.ts";
import type { Shop } from "../support/shop.ts";
import {
  claimed,
  createTicket,
  describeStore,
  RETENTION,
  response,
  txOf,
} from "../support/store-contract.ts";
import { describeTransactionalStore } from "../support/transaction-contract.ts";

const STRATEGIES: Readonly<Record<string, (parts: StoreParts) => Store>> = {
  advisory: createAdvisoryStore,
  unique: createUniqueStore,
  row: createRowStore,
  lease: (parts) => createLeaseStore(parts, 60_000),
};

const database = withDatabase();
let named: pg.Pool;
beforeAll(async () => {
  // An option makes the connection direct, also if the run has a pooler.
  named = direct();
  allowNames(named);
  await named.query("create table effects (key text)");
  await createPayments(named);
});
afterEach(() => void vi.restoreAllMocks());

function direct(config: pg.PoolConfig = {}): pg.Pool {
  return database.pool({ options: "-c application_name=direct", ...config });
}

for (const [name, create] of Object.entries(STRATEGIES)) {
  const underTest = { name: `${name}, with named statements:`, pool: () => named, create };
  describeStore(underTest);
  if (name !== "lease") describeTransactionalStore(underTest);
}

describe("the self-test", () => {
  it("finds that a direct connection keeps named statements", async () => {
    expect(await selfTest(direct(), "oncekey", false)).toMatchObject({ keepsNames: true });
    expect(await selfTest(direct({ max: 1 }), "oncekey", false)).toMatchObject({
      keepsNames: true,
    });
  });

  it.skipIf(!hasPgBouncer)(
    `finds whether PgBouncer tracks named statements${hasPgBouncer ? "" : " (not tried: no pgbouncer on this machine)"}`,
    async () => {
      await withPgBouncer(database.url, { mode: "transaction" }, async (url) => {
        const pool = database.pool({ connectionString: url });
        const result = await selfTest(pool, "oncekey", false);
        const tracks = await canRunElsewhere(url);
        expect(result).toMatchObject({ kind: "sound", keepsNames: tracks });
        // One connection proves nothing: the pooler would lend the same session again.
        const one = database.pool({ connectionString: url, max: 1 });
        expect(await selfTest(one, "oncekey", false)).toMatchObject({ keepsNames: false });
        await Promise.all([pool.end(), one.end()]);
      });
    },
  );
});

/** Runs a named statement on two sessions of a pooler, by hand. */
async function canRunElsewhere(connectionString: string): Promise<boolean> {
  const pool = database.pool({ connectionString });
  const [one, two] = [await pool.connect(), await pool.connect()];
  try {
    await one.query({ name: "probe", text: "select 1" });
    await two.query("begin");
    await one.query({ name: "probe", text: "select 1" });
    return true;
  } catch (error) {
    expect(error).toMatchObject({ code: "26000" });
    return false;
  } finally {
    await two.query("rollback");
    one.release();
    two.release();
    await pool.end();
  }
}

describe("a batch", () => {
  it("takes memory for a statement's text only when it sends the text", () => {
    const names = new StatementNames({ keepsNames: true });
    const batch = [{ text: `select '${"x".repeat(10_000)}'`, values: ["1"] }];
    expect(encodeBatch(batch, names).buffer.byteLength).toBeGreaterThan(10_000);
    // A small batch comes from Node's pool, a large one has memory of its own.
    expect(encodeBatch(batch, names).buffer.byteLength).toBe(Buffer.poolSize);
  });
});

describe("on the wire", () => {
  let wire: Wire;
  let pool: pg.Pool;

  /** A shop whose handler has one statement, on a single connection whose messages are counted. */
  async function withWire(use: (shop: Shop) => Promise<void>): Promise<void> {
    const { hostname, port } = new URL(database.url);
    wire = await createWire({ host: hostname, port: Number(port) });
    const url = new URL(database.url);
    url.host = `127.0.0.1:${wire.port}`;
    pool = direct({ connectionString: url.href, max: 1 });
    try {
      await withShop(
        { pool, sweep: false },
        (app) =>
          app.post<{ Body: { text?: string } }>(
            "/payments",
            { config: { idempotency: true } },
            async (request) => {
              const { tx } = request.idempotency;
              const { text } = request.body;
              const pays = "insert into payments (amount) values (1)";
              await tx.query(text === undefined ? { name: "pay", text: pays } : pays);
              if (text !== undefined) await tx.query(text);
              return {};
            },
          ),
        use,
      );
    } finally {
      await pool.end();
      await wire.close();
    }
  }

  const pay = ({ post }: Shop, key: string, text?: string) =>
    post("/payments", { key, json: { text } });

  it("parses no statement of a connection's second request, and writes one chunk a batch", async () => {
    await withWire(async (shop) => {
      await pay(shop, "first");
      const client = await pool.connect();
      const { stream } = Reflect.get(client, "connection") as unknown as { stream: Socket };
      client.release();
      const write = vi.spyOn(stream, "write");
      wire.reset();
      expect((await pay(shop, "second")).status).toBe(200);
      expect(wire.parses()).toBe(0);
      // Claim, the handler's statement, commit; pg writes its own message by message.
      const ofHandler = 4;
      expect(write).toHaveBeenCalledTimes(wire.trips() - 1 + ofHandler);
      expect(wire.trips()).toBe(3);
    });
  });

  it("prepares all again after DISCARD ALL, and the request does not notice", async () => {
    await withWire(async (shop) => {
      await pay(shop, "before");
      await pool.query("deallocate all");
      wire.reset();
      const after = await pay(shop, "before");
      expect(after.status).toBe(200);
      expect(after.headers.get("idempotent-replayed")).toBe("true");
      expect(wire.parses()).toBeGreaterThan(0);
    });
  });

  it("prepares again when a migration has changed what a statement returns", async () => {
    await withWire(async (shop) => {
      await pay(shop, "stored");
      await pay(shop, "stored");
      await pool.query("alter table oncekey.records alter column headers type varchar");
      const replay = await pay(shop, "stored");
      await pool.query("alter table oncekey.records alter column headers type text");
      expect(replay.headers.get("idempotent-replayed")).toBe("true");
    });
  });

  it("prepares again after 5 s: a plan for a small table would read a large one whole", async () => {
    await withWire(async (shop) => {
      await pay(shop, "young");
      wire.reset();
      const startedAt = performance.now();
      vi.spyOn(performance, "now").mockReturnValue(startedAt + 6_000);
      await pay(shop, "old");
      expect(wire.parses()).toBeGreaterThan(0);
    });
  });

  it("keeps nothing of a request whose handler dropped the statements, and names none from then on", async () => {
    await withWire(async (shop) => {
      await pay(shop, "warm");
      const before = await countPayments(named);
      const lost = await pay(shop, "lost", "deallocate all");
      expect(lost.status).toBe(503);
      expect(lost.json()).toMatchObject({ retryable: true });
      expect(await countPayments(named)).toBe(before);
      // The handler does the same again, and unnamed statements cannot be lost.
      expect((await pay(shop, "lost", "deallocate all")).status).toBe(200);
      expect((await pay(shop, "later", "deallocate all")).status).toBe(200);
      expect(await countPayments(named)).toBe(before + 2);
    });
  });
});

/** Another session commits the record first, so that the store statement meets its fence. */
async function finishElsewhere({ key, scope, target }: Ticket): Promise<void> {
  await named.query(
    `insert into oncekey.records (key, scope, target, fingerprint, status, headers, created_at, expires_at)
     values ($1, $2, $3, '\\x00', 201, '[]', now(), now() + interval '1 minute')`,
    [key, scope, target],
  );
}

it("a failed store skips the COMMIT behind it, with named statements as well", async () => {
  const store = createAdvisoryStore(createStoreParts(named, "oncekey"));
  const ticket = createTicket();
  await (await claimed(store, ticket)).complete(response("first"), "keep");
  const late = createTicket();
  const claim = await claimed(store, late);
  await txOf(claim).query("insert into effects (key) values ($1)", [late.key]);
  await finishElsewhere(late);
  expect(await claim.complete(response("second"), "keep")).toMatchObject({ kind: "superseded" });
  const { rowCount } = await named.query("select from effects where key = $1", [late.key]);
  expect(rowCount).toBe(0);
  expect(await store.begin(late, RETENTION)).toMatchObject({ kind: "replay" });
});

it("prepares the statements that a failed batch has skipped when they are next used", async () => {
  const pool = direct({ max: 1 });
  allowNames(pool);
  const store = createAdvisoryStore(createStoreParts(pool, "oncekey"));
  const late = createTicket();
  const claim = await claimed(store, late);
  await finishElsewhere(late);
  expect(await claim.complete(response("late"), "keep")).toMatchObject({ kind: "superseded" });
  // Its COMMIT has not been parsed on this connection yet.
  const next = await claimed(store, createTicket());
  expect(await next.complete(response("next"), "keep")).toMatchObject({ kind: "stored" });
});
