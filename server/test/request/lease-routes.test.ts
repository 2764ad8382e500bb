import { setTimeout as sleep } from "node:timers/promises";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import type { OnCrash } from "@oncekey/server";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

function leased(onCrash: OnCrash): { config: { idempotency: object } } {
  return { config: { idempotency: { strategy: "lease", lease: { onCrash } } } };
}

describe("a lease route", () => {
  it("holds no transaction, and says what to do instead", async () => {
    await withShop(
      { pool },
      (app) => app.post("/charge", leased("rerun"), async (request) => request.idempotency.tx),
      async ({ post }) => {
        const answer = await post("/charge", { key: "tx" });
        expect(answer.status).toBe(500);
        expect(answer.json()["message"]).toContain("use a pool of your own, and step()");
      },
    );
  });

  it.each<[OnCrash, number, object]>([
    ["rerun", 2, { runs: 2 }],
    ["fail", 1, { code: "idempotency_outcome_unknown" }],
  ])("that answers 5xx is treated as one that crashed: %s", async (onCrash, times, then) => {
    let runs = 0;
    await withShop(
      { pool },
      (app) =>
        app.post("/charge", leased(onCrash), async (_request, reply) => {
          runs += 1;
          return reply.code(runs === 1 ? 502 : 201).send({ runs });
        }),
      async ({ post }) => {
        const key = `5xx-${String(onCrash)}`;
        const first = await post("/charge", { key });
        await sleep(2);
        const second = await post("/charge", { key });
        expect(first.status).toBe(502);
        expect(second.json()).toMatchObject(then);
        expect(runs).toBe(times);
      },
    );
  });

  it("that answers what is not final frees the key at once", async () => {
    let runs = 0;
    await withShop(
      { pool },
      (app) =>
        app.post("/charge", leased("fail"), async (_request, reply) =>
          reply.code((runs += 1) === 1 ? 429 : 200).send("x"),
        ),
      async ({ post }) => {
        expect([
          (await post("/charge", { key: "429" })).status,
          (await post("/charge", { key: "429" })).status,
        ]).toEqual([429, 200]);
      },
    );
  });

  it("runs a step once, also when it is asked for twice at once, and remembers nothing as nothing", async () => {
    let calls = 0;
    await withShop(
      { pool },
      (app) =>
        app.post("/charge", leased("rerun"), async (request) => {
          const { step } = request.idempotency;
          const twice = await Promise.all([
            step("a", () => (calls += 1)),
            step("a", () => (calls += 1)),
          ]);
          const nothing = await step("b", () => undefined);
          const large = await step("c", () => "x".repeat(70_000)).catch(
            (error: Error) => error.message,
          );
          return { twice, isNothing: nothing === undefined, large };
        }),
      async ({ post }) => {
        expect((await post("/charge", { key: "steps" })).json()).toEqual({
          twice: [1, 1],
          isNothing: true,
          large: "the result of step c is larger than 65536 bytes as JSON",
        });
      },
    );
  });
});
