import { readFile } from "node:fs/promises";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createPayments, withShop } from "../support/shop.ts";
import type { Shop } from "../support/shop.ts";
import { createWire } from "@oncekey/test-support/wire/wire";
import type { Wire } from "@oncekey/test-support/wire/wire";

interface Cost {
  readonly strategy: string;
  readonly request: string;
  /** Round trips that the reply waits for. */
  readonly awaited: number;
  /** Round trips that end after the reply has left. */
  readonly behind: number;
  readonly statements: number;
}

const STRATEGIES = ["advisory", "unique", "row", "lease"] as const;
const REQUESTS = ["first", "replay from Postgres", "replay from the process"] as const;
const GUIDE = new URL("../../../docs/guides/costs.md", import.meta.url);
const documented = readTable(await readFile(GUIDE, "utf8"));

const database = withDatabase();
let wire: Wire;
let pool: pg.Pool;
beforeAll(async () => {
  await createPayments(database.pool());
  const { hostname, port } = new URL(database.url);
  wire = await createWire({ host: hostname, port: Number(port) });
  const relayed = new URL(database.url);
  relayed.host = `127.0.0.1:${wire.port}`;
  pool = database.pool({ connectionString: relayed.href, max: 2 });
});
afterAll(async () => {
  await pool.end();
  await wire.close();
});

describe("the table of costs in docs/guides/costs.md", () => {
  it("has a row for each strategy and each kind of request", () => {
    const rows = documented.map(({ strategy, request }) => `${strategy}: ${request}`);
    expect(rows).toEqual(STRATEGIES.flatMap((name) => REQUESTS.map((kind) => `${name}: ${kind}`)));
  });

  it.each(documented)("is what is counted on the wire: $strategy, $request", async (cost) => {
    const strategy = STRATEGIES.find((name) => name === cost.strategy);
    if (strategy === undefined) throw new Error(`no strategy is called ${cost.strategy}`);
    const options = {
      pool,
      strategy,
      ...(strategy === "lease" ? { lease: { onCrash: "fail" as const } } : {}),
      replayCache: cost.request === "replay from the process",
      sweep: false as const,
    };
    const key = `${cost.strategy} ${cost.request}`.replaceAll(" ", "-");
    await withShop(
      options,
      (app) => addRoute(app, strategy),
      async (shop) => {
        // A connection is open before anything is counted.
        await pool.query("select 1");
        if (cost.request !== "first") await count(shop, key, Infinity);
        const { replayed, ...counted } = await count(shop, key, cost.awaited);
        expect(replayed).toBe(cost.request !== "first");
        const { awaited, behind, statements } = cost;
        expect(counted).toEqual({ awaited, behind, statements });
      },
    );
  });
});

/** @param allowed answers of Postgres that are let through before the reply has to be there. */
async function count(
  { post }: Shop,
  key: string,
  allowed: number,
): Promise<Omit<Cost, "strategy" | "request"> & { readonly replayed: boolean }> {
  wire.reset();
  const release = wire.holdAfter(allowed);
  const sent = post("/payments", { key });
  // Releases a request that waits for too many round trips, so that they are counted and the test
  // does not hang.
  const late = setTimeout(release, 30_000);
  const { status, headers } = await sent;
  clearTimeout(late);
  const awaited = wire.answered();
  release();
  expect(status).toBe(201);
  await expect.poll(() => pool.totalCount - pool.idleCount).toBe(0);
  const replayed = headers.get("idempotent-replayed") === "true";
  return { awaited, behind: wire.trips() - awaited, statements: wire.statements(), replayed };
}

// A handler of one statement, in the transaction where there is one.
function addRoute(app: FastifyInstance, strategy: string): void {
  app.post("/payments", { config: { idempotency: true } }, async (request, reply) => {
    const client = strategy === "lease" ? pool : request.idempotency.tx;
    await client.query("insert into payments (amount) values (1)");
    return reply.code(201).send({});
  });
}

function readTable(guide: string): Cost[] {
  const rows = guide.split("\n").filter((line) => line.startsWith("| `"));
  return rows.map((row) => {
    const [strategy = "", request = "", awaited, behind, statements] = row
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll("`", ""));
    return {
      strategy,
      request,
      awaited: Number(awaited),
      behind: Number(behind),
      statements: Number(statements),
    };
  });
}
