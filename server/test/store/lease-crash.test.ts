import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import type { CrashContext, OnCrash } from "@oncekey/server";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import type { Gate } from "../support/gate.ts";
import { withShop } from "../support/shop.ts";
import type { Answer, ShopOptions } from "../support/shop.ts";
import { createWire } from "@oncekey/test-support/wire/wire";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

function leased(onCrash: OnCrash): { config: { idempotency: object } } {
  return { config: { idempotency: { strategy: "lease", lease: { onCrash } } } };
}

/** A first request whose owner hangs for good, its lease run out, and what the retry on another server gets. */
async function afterCrash(
  routes: (app: FastifyInstance, gate: Gate) => void,
  use: (retry: () => Promise<Answer>) => Promise<void>,
  second: Partial<ShopOptions> = {},
): Promise<void> {
  const gate = createGate();
  const key = crypto.randomUUID();
  await withShop(
    { pool },
    (app) => routes(app, gate),
    async (one) => {
      const hanging = one.post("/charge", { key }).catch(() => undefined);
      await gate.reached;
      await pool.query(
        "update oncekey.records set lease_until = statement_timestamp() where key = $1",
        [key],
      );
      await sleep(2);
      await withShop(
        { pool: database.pool({ max: 4 }), waitMs: 100, ...second },
        (app) => routes(app, gate),
        (two) => use(() => two.post("/charge", { key })),
      );
      gate.open();
      await hanging;
    },
  );
}

describe("a lease whose owner crashed", () => {
  it("is run again under 'rerun', past the steps that were finished", async () => {
    const charges: string[] = [];
    const attempts: number[] = [];
    const routes = (app: FastifyInstance, gate: Gate): void => {
      app.post("/charge", leased("rerun"), async (request) => {
        const { step, attempt, deriveKey } = request.idempotency;
        attempts.push(attempt);
        const charge = await step("charge", () => {
          charges.push(deriveKey("charge"));
          return { id: `ch_${charges.length}` };
        });
        if (attempt === 1) await gate.pass();
        return { charge, attempt };
      });
    };
    await afterCrash(routes, async (retry) => {
      const answer = await retry();
      expect(answer.json()).toEqual({ charge: { id: "ch_1" }, attempt: 2 });
      expect((await retry()).headers.get("idempotent-replayed")).toBe("true");
    });
    expect([charges.length, attempts]).toEqual([1, [1, 2]]);
  });

  it("stays closed under 'fail': 500 idempotency_outcome_unknown, for every later retry too", async () => {
    let runs = 0;
    const routes = (app: FastifyInstance, gate: Gate): void => {
      app.post("/charge", leased("fail"), async () => {
        runs += 1;
        await gate.pass();
        return "late";
      });
    };
    await afterCrash(
      routes,
      async (retry) => {
        const answers = [await retry(), await retry()];
        expect(answers.map((answer) => [answer.status, answer.json()["code"]])).toEqual([
          [500, "idempotency_outcome_unknown"],
          [500, "idempotency_outcome_unknown"],
        ]);
        expect(answers[0]?.headers.get("content-type")).toBe("application/problem+json");
      },
      { maxResponseBytes: 1 },
    );
    expect(runs).toBe(1);
  });

  it("is answered with what a function finds out, which is asked once", async () => {
    const asked: Partial<CrashContext>[] = [];
    const onCrash: OnCrash = ({ key, scope, target, attempts, deriveKey }) => {
      asked.push({ scope, target, attempts });
      return {
        status: 201,
        headers: { Location: "/charges/1" },
        body: { found: true, key, same: deriveKey("charge") },
      };
    };
    const derived: string[] = [];
    const routes = (app: FastifyInstance, gate: Gate): void => {
      app.post("/charge", leased(onCrash), async (request) => {
        derived.push(request.idempotency.deriveKey("charge"));
        await gate.pass();
        return "late";
      });
    };
    await afterCrash(routes, async (retry) => {
      const answers = [await retry(), await retry()];
      expect(answers.map(({ status }) => status)).toEqual([201, 201]);
      expect(answers[0]?.json()).toMatchObject({ found: true, same: derived[0] });
      expect(answers[1]?.bytes).toEqual(answers[0]?.bytes);
    });
    expect(asked).toEqual([{ scope: "single-tenant", target: "POST /charge", attempts: 1 }]);
  });

  it("keeps of what a function returns what it would keep of a handler's reply", async () => {
    const body = "x".repeat(11);
    const headers = {
      Location: "/charges/1",
      "Set-Cookie": "session=secret",
      "transfer-encoding": "chunked",
      "access-control-allow-origin": "https://other.example",
      "x-request-id": "one",
    };
    const onCrash: OnCrash = () => ({ status: 201, headers, body });
    const routes = (app: FastifyInstance, gate: Gate): void => {
      app.post("/charge", leased(onCrash), async () => {
        await gate.pass();
        return "late";
      });
    };
    for (const [maxResponseBytes, expected] of [
      [11, [201, body, "/charges/1"]],
      [10, [410, expect.stringContaining('"originalStatus":201'), null]],
    ] as const) {
      await afterCrash(
        routes,
        async (retry) => {
          const answers = [await retry(), await retry()];
          const seen = answers.map((answer) => [
            answer.status,
            answer.text,
            answer.headers.get("location"),
          ]);
          expect(seen).toEqual([[201, body, "/charges/1"], expected]);
          for (const answer of answers) {
            for (const name of ["set-cookie", "access-control-allow-origin", "x-request-id"]) {
              expect(answer.headers.get(name), name).toBeNull();
            }
          }
        },
        { maxResponseBytes },
      );
    }
  });

  it.each<[string, () => never | object]>([
    [
      "throws",
      () => {
        throw new Error("the provider is down");
      },
    ],
    ["returns nonsense", () => ({ status: 7 })],
    ["returns a header with a line break", () => ({ status: 200, headers: { link: "a\r\nb: c" } })],
    ["returns a body that is no JSON", () => ({ status: 200, body: { n: 1n } })],
  ])("is asked for again on the next retry where the function %s", async (_name, find) => {
    let calls = 0;
    const onCrash: OnCrash = () => ((calls += 1) === 1 ? (find() as unknown as "fail") : "rerun");
    const routes = (app: FastifyInstance, gate: Gate): void => {
      app.post("/charge", leased(onCrash), async (request) => {
        if (request.idempotency.attempt > 1) return "again";
        await gate.pass();
        return "late";
      });
    };
    await afterCrash(routes, async (retry) => {
      expect((await retry()).status).toBe(500);
      await sleep(2);
      expect((await retry()).text).toBe("again");
    });
    expect(calls).toBe(2);
  });
});

it("a decision that cannot be stored is refused with 503, also where an unreachable store lets requests run", async () => {
  const { hostname, port } = new URL(database.url);
  const wire = await createWire({ host: hostname, port: Number(port) });
  const url = new URL(database.url);
  url.host = `127.0.0.1:${wire.port}`;
  const relayed = new pg.Pool({ connectionString: url.href, connectionTimeoutMillis: 10_000 });
  let runs = 0;
  const onCrash: OnCrash = async () => {
    await wire.close();
    return { status: 201, body: { found: true } };
  };
  const routes = (app: FastifyInstance, gate: Gate): void => {
    app.post("/charge", leased(onCrash), async () => {
      runs += 1;
      await gate.pass();
      return "late";
    });
  };
  await afterCrash(
    routes,
    async (retry) => {
      expect((await retry()).json()).toMatchObject({
        status: 503,
        code: "idempotency_unavailable",
      });
    },
    { pool: relayed, sweep: false },
  );
  expect(runs).toBe(1);
  await relayed.end();
});
