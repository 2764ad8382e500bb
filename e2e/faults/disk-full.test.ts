import { chown } from "node:fs/promises";
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { Pool } from "pg";
import { afterAll, expect, test } from "vitest";
import { withDatabase } from "../support/database.ts";
import { idsOf } from "../support/postgres-binaries.ts";
import { mountSmallDisk } from "../support/small-disk.ts";

const DISK = mountSmallDisk(8 * 1_048_576);
const database = withDatabase();

// The database that is dropped after this file leaves the disk empty.
afterAll(() => DISK?.remove());

test.skipIf(DISK === undefined)(
  "where the disk is full nothing is kept and 503 is answered; when there is room the same key is charged once (needs the right to mount a tmpfs)",
  async () => {
    const pool = database.pool({ max: 4, connectionTimeoutMillis: 5_000 });
    await prepare(pool, DISK?.folder ?? "");
    const app = Fastify();
    await app.register(idempotency, { pool, scope: "single-tenant", sweep: false });
    app.post("/pay", { config: { idempotency: true } }, async (request, reply) => {
      await request.idempotency.tx.query("insert into charges default values");
      return reply.code(201).send({ paid: true });
    });
    const pay = () =>
      app.inject({ method: "POST", url: "/pay", headers: { "idempotency-key": "full-disk" } });
    const charges = async () => (await pool.query("select from charges")).rowCount;
    await expect(fill(pool)).rejects.toMatchObject({ code: "53100" });

    expect((await pay()).statusCode).toBe(503);
    expect(await charges()).toBe(0);

    await pool.query("drop table filler");
    const paid = await pay();
    expect(paid.statusCode).toBe(201);
    expect((await pay()).headers["idempotent-replayed"]).toBe("true");
    expect(await charges()).toBe(1);
    await pool.query("drop schema oncekey cascade");
    await pool.query("drop tablespace small_disk");
    await app.close();
  },
);

/** Puts the records, and what fills the disk, onto it. */
async function prepare(pool: Pool, disk: string): Promise<void> {
  // Only root mounts, and Postgres does not run as root.
  const { uid, gid } = await idsOf("nobody");
  await chown(disk, uid, gid);
  await pool.query(`create tablespace small_disk location '${disk}'`);
  await pool.query("alter table oncekey.records set tablespace small_disk");
  await pool.query("create table charges (id bigint generated always as identity)");
  await pool.query("create table filler (what text) tablespace small_disk");
  await pool.query("alter table filler alter what set storage plain");
}

/** Goes on, page by page, until there is no room for another. */
async function fill(pool: Pool): Promise<never> {
  for (;;) await pool.query("insert into filler values (repeat('x', 7000))");
}
