import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { Ticket } from "../../src/store/store.ts";
import { claimed, createTicket, response } from "../support/store-contract.ts";
import { oncekey, oncekeyInTerminal, oncekeyJson } from "./command.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

async function stored(target = "POST /payments"): Promise<Ticket> {
  const ticket = { ...createTicket(), target };
  const claim = await claimed(createAdvisoryStore(createStoreParts(pool, "oncekey")), ticket);
  await claim.complete(response("made"), "keep");
  return ticket;
}

function forget({ key, scope }: Ticket, ...more: string[]): string[] {
  return [
    "forget",
    key,
    "--scope",
    scope,
    "--reason",
    "a test",
    "--database-url",
    database.url,
    ...more,
  ];
}

async function targets({ key }: Ticket): Promise<string[]> {
  const { rows } = await pool.query<{ target: string }>(
    "select target from oncekey.records where key = $1 order by target",
    [key],
  );
  return rows.map(({ target }) => target);
}

describe("oncekey forget", () => {
  it("refuses with 2 without a terminal to confirm on, and lists what it would have deleted", async () => {
    const ticket = await stored();
    const { code, out, err } = await oncekey(forget(ticket));
    expect(code).toBe(2);
    expect(out).toMatch(
      /^POST \/payments: finished, status 201, body 4 bytes, written 20.*, expires 20/,
    );
    expect(err).toContain("--yes goes on without asking");
    expect(await targets(ticket)).toEqual(["POST /payments"]);
  });

  it("deletes with --yes, and warns that servers may remember", async () => {
    const ticket = await stored();
    const { code, out, err } = await oncekey(forget(ticket, "--yes"));
    expect(code).toBe(0);
    expect(out).toMatch(/^POST \/payments: deleted$/m);
    expect(err).toContain("may replay it from its memory");
    expect(await targets(ticket)).toEqual([]);
  });

  it("deletes the record of one target if a target is given", async () => {
    const ticket = await stored();
    const refund = { ...ticket, target: "POST /refunds" };
    const claim = await claimed(createAdvisoryStore(createStoreParts(pool, "oncekey")), refund);
    await claim.complete(response("made"), "keep");
    const { code } = await oncekey(forget(ticket, "--target", "POST /refunds", "--yes"));
    expect(code).toBe(0);
    expect(await targets(ticket)).toEqual(["POST /payments"]);
  });

  it("ends with 1 where there is nothing to delete, in another scope too", async () => {
    const ticket = await stored();
    const { code, err } = await oncekey(forget({ ...ticket, scope: "somebody else" }, "--yes"));
    expect([code, err]).toEqual([1, `no record of key ${ticket.key} in scope somebody else\n`]);
    expect(await targets(ticket)).toEqual(["POST /payments"]);
  });

  it("keeps a record whose handler is at work, and ends with 1", async () => {
    const ticket = createTicket();
    const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
    const claim = await claimed(store, ticket);
    const { code, out, err } = await oncekey(forget(ticket, "--yes"));
    expect(code).toBe(1);
    expect(out).toContain(`${ticket.target}: running, no response`);
    expect(out).toContain("kept, because a handler is at work on it");
    expect(err).toBe("");
    expect(await targets(ticket)).toHaveLength(1);
    await claim.release("free");
  });
});

describe("oncekey forget --scope without a key", () => {
  function line(scope: string, ...more: string[]): string[] {
    const decision = ["--by", "anna", "--reason", "#7"];
    return ["forget", "--scope", scope, ...decision, "--database-url", database.url, ...more];
  }

  async function ofScope(scope: string): Promise<number> {
    const { rows } = await pool.query("select from oncekey.records where scope = $1", [scope]);
    return rows.length;
  }

  it("deletes all records of the scope with a row of the audit, and those of no other", async () => {
    await pool.query(`
      insert into oncekey.records (key, scope, target, fingerprint, status, headers, created_at, expires_at)
      select md5(n::text), case n % 2 when 0 then 'even' else 'odd' end, 't', '\\x01', 201, '[]', now(),
        now() + interval '1 day' from generate_series(1, 12000) as n`);
    expect(await oncekeyJson(line("even", "--yes"))).toEqual({ forgotten: 6_000, held: 0 });
    expect([await ofScope("even"), await ofScope("odd")]).toEqual([0, 6_000]);
    const { rows } = await pool.query(
      `select sum(records)::int as records, min(decided_by) as by, min(reason) as reason, count(key)::int as keys
       from oncekey.decisions where scope = 'even' and action = 'forgotten'`,
    );
    expect(rows).toEqual([{ records: 6_000, by: "anna", reason: "#7", keys: 0 }]);
    const { code, out, err } = await oncekey(line("odd", "--yes"));
    expect([code, out]).toEqual([0, "deleted 6,000 records\n"]);
    expect(err).toContain("may replay it from its memory");
  });

  it("deletes nothing of a scope without records, and ends with 0", async () => {
    const end = await oncekey(line("nobody", "--yes"));
    expect(end).toEqual({ code: 0, out: "deleted 0 records\n", err: "" });
  });

  it("keeps a record whose handler is at work, and ends with 1", async () => {
    const ticket = { ...createTicket(), scope: "busy" };
    const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
    const claim = await claimed(store, ticket);
    expect(await oncekeyJson(line("busy", "--yes"), 1)).toEqual({ forgotten: 0, held: 1 });
    expect((await oncekey(line("busy", "--yes"))).err).toContain(
      "kept 1 record: handlers are at work on them",
    );
    expect(await ofScope("busy")).toBe(1);
    await claim.release("free");
  });

  it.each<[reason: string, more: string[]]>([
    ["standard input is no terminal", []],
    ["--target is for the records of a key", ["--target", "t", "--yes"]],
    ["It must be 1 to 1000 characters", ["--reason", "", "--yes"]],
    ["It must be 1 to 200 characters", ["--by", "x".repeat(201), "--yes"]],
  ])("ends with 2 and deletes nothing: %s", async (reason, more) => {
    const ticket = await stored();
    const { code, err } = await oncekey(line(ticket.scope, ...more));
    expect(code).toBe(2);
    expect(err).toContain(reason);
    expect(await ofScope(ticket.scope)).toBeGreaterThan(0);
  });
});

// util-linux's `script` makes the terminal; other systems' takes other arguments.
const isLinux = process.platform === "linux";

describe.skipIf(!isLinux)(
  `oncekey forget in a terminal${isLinux ? "" : " (not tried: it takes util-linux's script)"}`,
  () => {
    const question = "Delete 1 record? A retry then runs again. [y/N]";

    it("asks first and deletes on y", async () => {
      const ticket = await stored();
      const { code, out } = await oncekeyInTerminal(forget(ticket), { question, answer: "y\r" });
      expect(out).toContain("POST /payments: deleted");
      expect(code).toBe(0);
      expect(await targets(ticket)).toEqual([]);
    });

    it("deletes nothing on anything else: another word, Enter, Ctrl-C, Ctrl-D", async () => {
      const ticket = await stored();
      const answers = ["yellow\r", "\r", "\u0003", "\u0004"];
      const ends = await Promise.all(
        answers.map((answer) => oncekeyInTerminal(forget(ticket), { question, answer })),
      );
      for (const { code, out } of ends) {
        expect(out).toContain("nothing was deleted");
        expect(code).toBe(1);
      }
      expect(await targets(ticket)).toEqual(["POST /payments"]);
    });
  },
);
