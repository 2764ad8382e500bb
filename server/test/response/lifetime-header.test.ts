/** A record's lifetime runs while its answer is on the way, and while the process is suspended. */
import type pg from "pg";
import { afterAll, beforeAll, expect, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createRowStore } from "../../src/store/strategies/row.ts";
import { openStoreParts } from "../../src/store/store-parts.ts";
import type { StoreParts } from "../../src/store/store-parts.ts";
import { createUniqueStore } from "../../src/store/strategies/unique.ts";
import { createWire } from "@oncekey/test-support/wire/wire";
import type { Wire } from "@oncekey/test-support/wire/wire";

const database = withDatabase();
let wire: Wire;
let pool: pg.Pool;
let parts: StoreParts;

beforeAll(async () => {
  const url = new URL(database.url);
  wire = await createWire({ host: url.hostname, port: Number(url.port) });
  url.host = `127.0.0.1:${wire.port}`;
  pool = database.pool({ connectionString: url.href });
  parts = await openStoreParts(pool, "oncekey");
});

afterAll(async () => {
  await wire.close();
});

test.each([
  ["advisory", createAdvisoryStore],
  ["unique", createUniqueStore],
  ["row", createRowStore],
  ["lease", (of: StoreParts) => createLeaseStore(of, 60_000)],
])("%s: it is counted from when the database was asked", async (name, create) => {
  const store = create(parts);
  const ticket = { key: name, scope: "s", target: "t", fingerprint: Buffer.alloc(32) };
  const begun = await store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 });
  if (begun.kind !== "claimed")
    throw new Error(`expected the first one to be claimed, got ${begun.kind}`);
  await begun.claim.complete({ status: 201, headers: [], body: undefined }, "keep");
  for (const ask of [
    () => store.begin(ticket, { retentionMs: 60_000, fenceMs: 60_000 }),
    () => store.lookup(ticket),
  ]) {
    // So that what is held back is the answer, and not the greeting of another connection.
    await expect.poll(() => pool.totalCount - pool.idleCount).toBe(0);
    const release = wire.holdAfter(0);
    const answer = ask();
    await new Promise((resolve) => void setTimeout(resolve, 50));
    const heldAt = performance.now();
    release();
    const found = await answer;
    if (found.kind !== "replay") throw new Error(`expected a replay, got ${found.kind}`);
    expect(found.record.askedAt).toBeLessThan(heldAt);
  }
});
