import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createRowStore } from "../../src/store/strategies/row.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { Store, Ticket } from "../../src/store/store.ts";
import { claimed, createTicket, response, RETENTION } from "../support/store-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
let one: Store;
let two: Store;
beforeAll(() => {
  pool = database.pool();
  one = createRowStore(createStoreParts(pool, "oncekey"));
  two = createRowStore(createStoreParts(pool, "oncekey"));
});

/** Two requests under one key, of which the first left its pending row behind. */
async function leftBehind(): Promise<{ readonly left: Ticket; readonly other: Ticket }> {
  const left = createTicket();
  await (await claimed(one, left)).release("failed");
  return { left, other: { ...left, fingerprint: Buffer.from([9]) } };
}

describe("row store", () => {
  it("names the request that runs, and not one that had left its row behind", async () => {
    const { left, other } = await leftBehind();
    const claim = await claimed(one, other);
    const running = { kind: "in-flight", fingerprint: other.fingerprint };
    for (const ticket of [other, left]) {
      expect(await two.begin(ticket, RETENTION)).toEqual(running);
      expect(await two.lookup(ticket)).toEqual(running);
    }
    await claim.complete(response("made"), "keep");
    expect(await two.begin(left, RETENTION)).toMatchObject({
      kind: "replay",
      record: { fingerprint: other.fingerprint },
    });
  });

  it("lets one of many run where another request had left its row behind", async () => {
    const { left, other } = await leftBehind();
    const tickets = Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? left : other));
    const outcomes = await Promise.all(
      tickets.map(async (ticket, index) => ({
        ticket,
        outcome: await (index % 3 === 0 ? one : two).begin(ticket, RETENTION),
      })),
    );
    const claims = outcomes.filter(({ outcome }) => outcome.kind === "claimed");
    expect(claims).toHaveLength(1);
    const { rows } = await pool.query<{ fingerprint: Buffer }>(
      "select fingerprint from oncekey.records where key = $1",
      [left.key],
    );
    expect(rows).toEqual([{ fingerprint: claims[0]?.ticket.fingerprint }]);
    for (const { outcome } of claims)
      if (outcome.kind === "claimed") await outcome.claim.release("failed");
  });

  it("refuses no request while the row is being named: only a handler is in the way of a request that differs", async () => {
    const { left, other } = await leftBehind();
    const naming = await pool.connect();
    try {
      await naming.query("begin");
      await naming.query("update oncekey.records set fingerprint = $1 where key = $2", [
        other.fingerprint,
        left.key,
      ]);
      expect(await two.begin(other, RETENTION)).toEqual({ kind: "in-flight" });
      expect(await two.lookup(other)).toEqual({ kind: "absent" });
      await naming.query("commit");
    } finally {
      naming.release();
    }
    await (await claimed(two, other)).release("failed");
  });

  it("refuses no request if another request has named the row first, and does not run", async () => {
    const { left, other } = await leftBehind();
    const parts = createStoreParts(pool, "oncekey");
    let asked = 0;
    const three = createRowStore({
      ...parts,
      // Its second try, behind the naming: there another names the row, and breaks off.
      async connect() {
        asked += 1;
        if (asked === 3) await (await claimed(one, left)).release("failed");
        return parts.connect();
      },
    });
    expect(await three.begin(other, RETENTION)).toEqual({ kind: "in-flight" });
    expect(asked).toBe(3);
    await (await claimed(three, other)).release("failed");
  });

  it("finds nothing where another request had left its row behind", async () => {
    const { left, other } = await leftBehind();
    for (const ticket of [left, other]) {
      expect(await two.lookup(ticket)).toEqual({ kind: "absent" });
    }
  });
});
