/** A thrown refusal rolls its handler's writes back, and its locks with them, before it is stored. */
import { beforeAll, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createRowStore } from "../../src/store/strategies/row.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import { createUniqueStore } from "../../src/store/strategies/unique.ts";
import { claimed, createTicket, response, RETENTION } from "../support/store-contract.ts";

const GATE = 4_711;

const database = withDatabase();
beforeAll(async () => {
  const pool = database.pool();
  await pool.query(`
    create function public.wait_at_gate() returns trigger language plpgsql as
      'begin perform pg_advisory_xact_lock(${GATE}); return null; end';
    create trigger wait_at_gate after insert or update on oncekey.records
      for each row when (new.status is not null) execute function public.wait_at_gate()`);
});

it.each([
  ["advisory", createAdvisoryStore],
  ["unique", createUniqueStore],
  ["row", createRowStore],
] as const)(
  "strategy %s: while the refusal is stored and not committed, nobody else gets the key, whatever they ask for",
  async (_strategy, create) => {
    const [store, other] = [1, 2].map(() => create(createStoreParts(database.pool(), "oncekey")));
    if (store === undefined || other === undefined) throw new Error("two were made");
    const ticket = createTicket();
    const claim = await claimed(store, ticket);
    // Its lock is the session's, which a pooler would not keep for it.
    const gatekeeper = await database.pool({ connectionString: database.url }).connect();
    await gatekeeper.query("select pg_advisory_lock($1)", [GATE]);
    const completing = claim.complete(response("no such thing", 404), "discard");
    const begun: string[] = [];
    await expect
      .poll(async () => {
        const text = "select 1 from pg_locks where objid = $1 and not granted";
        return (await gatekeeper.query(text, [GATE])).rowCount;
      })
      .toBe(1);
    for (const asked of [ticket, { ...ticket, fingerprint: Buffer.from([9]) }]) {
      const outcome = await other.begin(asked, RETENTION);
      if (outcome.kind === "claimed") await outcome.claim.release("free");
      begun.push(outcome.kind);
    }
    await gatekeeper.query("select pg_advisory_unlock($1)", [GATE]);
    gatekeeper.release();
    expect(await completing).toMatchObject({ kind: "stored" });
    expect(begun).toEqual(["in-flight", "in-flight"]);
    expect(await other.begin(ticket, RETENTION)).toMatchObject({
      kind: "replay",
      record: { response: { status: 404 } },
    });
  },
);
