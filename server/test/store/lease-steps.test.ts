import { setImmediate as turn } from "node:timers/promises";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { POSTGRES } from "../../src/store/postgres/dialect.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStatements } from "../../src/store/sql/statements.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { Claim, StepMemory, Ticket } from "../../src/store/store.ts";
import { claimed, createTicket } from "../support/store-contract.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

function claimOn(used: pg.Pool, ticket: Ticket): Promise<Claim> {
  return claimed(createLeaseStore(createStoreParts(used, "oncekey"), 60_000), ticket);
}

function stepsOf(claim: Claim): StepMemory {
  if (claim.steps === undefined) throw new Error("a lease remembers steps");
  return claim.steps;
}

async function remembered({ key }: Ticket): Promise<unknown> {
  const { rows } = await pool.query<{ steps: string }>(
    "select steps from oncekey.records where key = $1",
    [key],
  );
  return JSON.parse(rows[0]?.steps ?? "null");
}

/**
 * Lends one connection at a time, and to the last caller first: packets on several connections may
 * arrive in any order.
 */
function lastFirst(real: pg.Pool): { readonly pool: pg.Pool; readonly lent: () => number } {
  const asking: (() => void)[] = [];
  let lent = 0;
  let isOut = false;
  const next = async (): Promise<void> => {
    await turn();
    if (!isOut) asking.pop()?.();
  };
  const connect = (lend: (error: unknown, client?: pg.PoolClient) => void): void => {
    asking.push(() => {
      isOut = true;
      lent += 1;
      real.connect((error, client) => {
        if (client === undefined) return lend(error);
        const release = client.release.bind(client);
        client.release = (how) => {
          isOut = false;
          release(how);
          void next();
        };
        return lend(undefined, client);
      });
    });
    void next();
  };
  return { pool: { options: real.options, connect } as unknown as pg.Pool, lent: () => lent };
}

describe("steps that end at once", () => {
  it("are all remembered, whatever the order in which their writes arrive", async () => {
    const ticket = createTicket();
    const steps = stepsOf(await claimOn(lastFirst(pool).pool, ticket));
    await Promise.all([steps.write("reserve", '"r_1"'), steps.write("charge", '"ch_1"')]);
    expect(await remembered(ticket)).toEqual({ reserve: '"r_1"', charge: '"ch_1"' });
  });

  it("are written together, once the write before them has ended", async () => {
    const ticket = createTicket();
    const counted = lastFirst(pool);
    const steps = stepsOf(await claimOn(counted.pool, ticket));
    const before = counted.lent();
    const names = Array.from({ length: 20 }, (_, index) => `step ${index}`);
    await Promise.all(names.map((name) => steps.write(name, "1")));
    expect(await remembered(ticket)).toEqual(Object.fromEntries(names.map((name) => [name, "1"])));
    expect(counted.lent() - before).toBeLessThanOrEqual(2);
  });

  it("do not fail for one before them that could not be written, and have its result with them", async () => {
    const ticket = createTicket();
    let isDown = false;
    const failing = {
      options: pool.options,
      connect: (lend: (error: unknown, client?: pg.PoolClient) => void): void => {
        if (!isDown) return pool.connect(lend);
        isDown = false;
        return lend(new Error("the line is cut"));
      },
    } as unknown as pg.Pool;
    const steps = stepsOf(await claimOn(failing, ticket));
    isDown = true;
    const outcomes = await Promise.allSettled([
      steps.write("reserve", '"r_1"'),
      steps.write("charge", '"ch_1"'),
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled"]);
    expect(await remembered(ticket)).toEqual({ reserve: '"r_1"', charge: '"ch_1"' });
  });
});

describe("a write of steps that arrives late", () => {
  it("takes nothing back of what was remembered after it, and is not taken for a lost lease", async () => {
    const ticket = createTicket();
    const steps = stepsOf(await claimOn(pool, ticket));
    await steps.write("reserve", '"r_1"');
    await steps.write("charge", '"ch_1"');
    const { rows } = await pool.query<{ owner: string }>(
      "select owner from oncekey.records where key = $1",
      [ticket.key],
    );
    const late = await pool.query(createStatements("oncekey", POSTGRES).rememberStep, [
      ticket.key,
      ticket.scope,
      ticket.target,
      rows[0]?.owner,
      JSON.stringify({ reserve: '"r_1"' }),
    ]);
    expect(late.rowCount).toBe(1);
    expect(await remembered(ticket)).toEqual({ reserve: '"r_1"', charge: '"ch_1"' });
    await steps.write("mail", '"sent"');
    expect(await remembered(ticket)).toMatchObject({ charge: '"ch_1"', mail: '"sent"' });
  });
});
