/**
 * Bytes that a first request adds to the write-ahead log, beside those of the same handler in a
 * plain transaction. `advisory` adds 507 and the body: 250 for the rest of the row, 127 and 64 for
 * its entries in two indexes, 48 for ON CONFLICT, and splits of pages.
 */
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import type { Postgres } from "@oncekey/test-support/postgres/postgres";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { migrate } from "../../src/index.ts";
import { createPayments, withShop } from "../support/shop.ts";

const BODY_BYTES = 535;
const WARM_UP = 50;
const REQUESTS = 200;
const INSERT = "insert into payments (amount) values (1)";

// A server of its own, so that nothing else writes to its log: no other test, no vacuum, no snapshot for a standby.
const SETTINGS = { wal_level: "minimal", max_wal_senders: "0", autovacuum: "off" };

let postgres: Postgres;
let pool: pg.Pool;
beforeAll(async () => {
  postgres = await startPostgres({ fsync: false, settings: SETTINGS });
  pool = new pg.Pool({ connectionString: postgres.url("postgres"), max: 4 });
  // A session that is closing meets the end of the server, and an idle one notifies its pool.
  pool.on("error", () => {});
  await migrate(pool);
  await createPayments(pool);
});
afterAll(async () => {
  await pool.end();
  await postgres.stop();
});

describe("the write-ahead log of a first request", () => {
  it.each([
    ["advisory", 530],
    ["unique", 930],
    ["row", 950],
    ["lease", 1_060],
  ] as const)("of strategy %s has the body and at most %d bytes more", async (strategy, most) => {
    const plain = await walOf(inTransaction);
    const options = {
      pool,
      strategy,
      ...(strategy === "lease" ? { lease: { onCrash: "fail" as const } } : {}),
      sweep: false as const,
    };
    let own = 0;
    await withShop(
      options,
      (app) => {
        app.post("/payments", { config: { idempotency: true } }, async (request, reply) => {
          await (strategy === "lease" ? pool : request.idempotency.tx).query(INSERT);
          return reply.code(201).send({ note: "x".repeat(BODY_BYTES - '{"note":""}'.length) });
        });
      },
      async ({ post }) => {
        await pool.query("truncate oncekey.records");
        own = await walOf(async (index) => {
          // In order, as UUIDv7 keys come: where pages are split is no chance.
          const key = `00000000-0000-7000-8000-${String(index).padStart(12, "0")}`;
          const { status } = await post("/payments", { key });
          expect(status).toBe(201);
        });
      },
    );
    const more = own - plain - BODY_BYTES;
    expect(more).toBeGreaterThan(0);
    expect(more).toBeLessThanOrEqual(most);
  });
});

/** Returns the bytes of one, on the mean. */
async function walOf(once: (index: number) => Promise<void>): Promise<number> {
  // Pages of the table and its indexes exist before anything is counted.
  for (let index = 0; index < WARM_UP; index += 1) await once(index);
  const before = await position();
  for (let index = 0; index < REQUESTS; index += 1) await once(WARM_UP + index);
  return Math.round(((await position()) - before) / REQUESTS);
}

async function position(): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(
    "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as bytes",
  );
  return rows[0]?.bytes ?? Number.NaN;
}

async function inTransaction(): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query("begin");
    await client.query(INSERT);
    await client.query("commit");
  } finally {
    client.release();
  }
}
