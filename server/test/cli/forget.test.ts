import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { Ticket } from "../../src/store/store.ts";
import { claimed, createTicket, response } from "../support/store-contract.ts";
import { oncekey, oncekeyInTerminal } from "./command.ts";

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
    expect(err).toContain("--yes deletes without asking");
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
