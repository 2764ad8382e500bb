import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import { response } from "../support/store-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
});

describe("lease store, without a key", () => {
  it("holds no connection, stores nothing, and remembers steps for as long as the handler runs", async () => {
    const outcome = await createLeaseStore(createStoreParts(pool, "oncekey"), 60_000).open();
    if (outcome.kind !== "claimed") throw new Error(outcome.kind);
    const { claim } = outcome;
    expect([claim.tx, claim.attempt, claim.signal.aborted]).toEqual([undefined, 1, false]);
    expect(pool.totalCount - pool.idleCount).toBe(0);
    await claim.steps?.write("charge", "1");
    expect([claim.steps?.read("charge"), claim.steps?.read("mail")]).toEqual(["1", undefined]);
    expect(await claim.complete(response("made"), "keep")).toEqual({
      kind: "stored",
      lifetimeMs: 0,
      fenceMs: 0,
      askedAt: 0,
      split: false,
    });
    await claim.release("free");
  });
});
