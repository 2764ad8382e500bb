import { randomBytes } from "node:crypto";
import { chown } from "node:fs/promises";
import { migrate } from "@oncekey/server";
import type { Pool } from "pg";
import { afterAll, expect, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { idsOf } from "@oncekey/test-support/postgres/binaries";
import { mountSmallDisk } from "@oncekey/test-support/postgres/small-disk";
import { countEffects, EFFECTS } from "../shop/effects.ts";
import { createStrategyShop } from "../shop/strategy-shop.ts";

const DISK = mountSmallDisk(8 * 1_048_576);
const database = withDatabase();

// The database that is dropped after this file leaves the disk empty.
afterAll(() => DISK?.remove());

test.skipIf(DISK === undefined)(
  "where the disk is full nothing is kept and 503 is answered; when there is room the same key is charged once (needs the right to mount a tmpfs)",
  async () => {
    const pool = database.pool({ max: 4, connectionTimeoutMillis: 5_000 });
    await prepare(pool, DISK?.folder ?? "");
    const app = await createStrategyShop({
      pool,
      sweep: false,
      lease: { onCrash: "fail" },
      answer: async (paid) => ({ paid }),
    });
    const pay = () =>
      app.inject({ method: "POST", url: "/advisory", headers: { "idempotency-key": "full-disk" } });
    await expect(fill(pool)).rejects.toMatchObject({ code: "53100" });

    expect((await pay()).statusCode).toBe(503);
    expect(await countEffects(pool)).toBe(0);

    await pool.query("drop table filler");
    const paid = await pay();
    expect(paid.statusCode).toBe(201);
    expect((await pay()).headers["idempotent-replayed"]).toBe("true");
    expect(await countEffects(pool)).toBe(1);
    await pool.query("drop schema oncekey cascade");
    await pool.query("drop tablespace small_disk");
    await app.close();
  },
);

test.skipIf(DISK === undefined)(
  "where the disk is full a lease is not claimed, and what its handler did and could not be stored is for onCrash (needs the right to mount a tmpfs)",
  async () => {
    const pool = database.pool({ max: 4, connectionTimeoutMillis: 5_000 });
    await migrate(pool);
    await prepare(pool, DISK?.folder ?? "");
    let meanwhile = async (): Promise<void> => undefined;
    const app = await createStrategyShop({
      pool,
      sweep: false,
      waitMs: 50,
      lease: { durationMs: 1_000, onCrash: "fail" },
      async answer() {
        await meanwhile();
        return { paid: LARGE };
      },
    });
    const pay = (key: string) =>
      app.inject({ method: "POST", url: "/lease", headers: { "idempotency-key": key } });

    meanwhile = () => fill(pool).catch(() => undefined);
    expect((await pay("running")).statusCode).toBe(503);
    expect(await countEffects(pool)).toBe(1);
    await fillRecords(pool);
    expect((await pay("fresh")).statusCode).toBe(503);
    expect(await countEffects(pool)).toBe(1);

    await pool.query("drop table filler");
    meanwhile = async () => undefined;
    await expect.poll(async () => (await pay("running")).statusCode).toBe(500);
    expect((await pay("running")).json().code).toBe("idempotency_outcome_unknown");
    expect(await countEffects(pool)).toBe(1);
    expect((await pay("fresh")).statusCode).toBe(201);
    expect((await pay("fresh")).headers["idempotent-replayed"]).toBe("true");
    expect(await countEffects(pool)).toBe(2);
    await pool.query("drop schema oncekey cascade");
    await pool.query("drop tablespace small_disk");
    await app.close();
  },
);

// More than a page has room for, and nothing that compresses.
const LARGE = randomBytes(40_000).toString("base64");

/** Fills the room that is left on the pages of the records themselves. */
async function fillRecords(pool: Pool): Promise<void> {
  const insert = `insert into oncekey.records (key, scope, target, fingerprint, created_at, expires_at, status, headers, body)
    values (gen_random_uuid()::text, 'filler', 'filler', '', now(), now() + interval '1 day', 201, '[]', $1)`;
  for (let size = 4_000; size >= 1; size = Math.floor(size / 4)) {
    let isFull = false;
    while (!isFull)
      await pool.query(insert, [Buffer.alloc(size)]).catch(() => {
        isFull = true;
      });
  }
}

/** Puts the records, and what fills the disk, onto it. */
async function prepare(pool: Pool, disk: string): Promise<void> {
  // Only root mounts, and Postgres does not run as root.
  const { uid, gid } = await idsOf("nobody");
  await chown(disk, uid, gid);
  await pool.query(`create tablespace small_disk location '${disk}'`);
  await pool.query("alter table oncekey.records set tablespace small_disk");
  await pool.query(`drop table if exists effects; ${EFFECTS}`);
  await pool.query("create table filler (what text) tablespace small_disk");
  await pool.query("alter table filler alter what set storage plain");
}

/** Goes on, page by page, until there is no room for another. */
async function fill(pool: Pool): Promise<never> {
  for (;;) await pool.query("insert into filler values (repeat('x', 7000))");
}
