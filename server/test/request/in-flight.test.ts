import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import type { Gate } from "../support/gate.ts";
import { withShop } from "../support/shop.ts";
import type { Shop, ShopOptions } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

function addSlow(app: FastifyInstance, gate: Gate): void {
  app.post<{ Body: { status?: number } | null }>(
    "/slow",
    { config: { idempotency: true } },
    async (request, reply) => {
      await gate.pass();
      return reply.code(request.body?.status ?? 201).send({ run: gate.passed() });
    },
  );
}

/** Two servers with pools of their own, as two processes would have. */
async function withTwoShops(
  options: Partial<ShopOptions>,
  gate: Gate,
  use: (one: Shop, two: Shop) => Promise<void>,
): Promise<void> {
  await withShop(
    { ...options, pool },
    (app) => addSlow(app, gate),
    (one) =>
      withShop(
        { ...options, pool: database.pool({ max: 4 }) },
        (app) => addSlow(app, gate),
        (two) => use(one, two),
      ),
  );
}

describe("a duplicate while the first still runs", () => {
  it.each(["same process", "another process"])(
    "waits and gets the first one's response: %s",
    async (where) => {
      const gate = createGate();
      await withTwoShops({}, gate, async (one, two) => {
        const first = one.post("/slow", { key: `wait ${where}`.replaceAll(" ", "-") });
        await gate.reached;
        const second = (where === "same process" ? one : two).post("/slow", {
          key: `wait ${where}`.replaceAll(" ", "-"),
        });
        setTimeout(() => gate.open(), 30);
        const [a, b] = await Promise.all([first, second]);
        expect(b.bytes).toEqual(a.bytes);
        expect([a, b].map(({ headers }) => headers.get("idempotent-replayed"))).toEqual([
          null,
          "true",
        ]);
        expect(gate.passed()).toBe(1);
      });
    },
  );

  it.each(["same process", "another process"])(
    "is refused with 409 and Retry-After when it has waited long enough: %s",
    async (where) => {
      const gate = createGate();
      await withTwoShops({ waitMs: 40 }, gate, async (one, two) => {
        const key = where.replaceAll(" ", "-");
        const first = one.post("/slow", { key });
        await gate.reached;
        const answer = await (where === "same process" ? one : two).post("/slow", { key });
        expect(answer.status).toBe(409);
        expect(answer.json()).toMatchObject({ code: "idempotency_in_flight", retryable: true });
        expect(answer.headers.get("retry-after")).toBe("1");
        gate.open();
        expect((await first).status).toBe(201);
        const after = await two.post("/slow", { key });
        expect(after.json(), "the refusal was not stored").toEqual({ run: 1 });
      });
    },
  );

  it("is refused at once under inFlight: 'reject'", async () => {
    const gate = createGate();
    await withTwoShops({ inFlight: "reject" }, gate, async (one, two) => {
      const first = one.post("/slow", { key: "reject" });
      await gate.reached;
      const answers = await Promise.all([
        one.post("/slow", { key: "reject" }),
        two.post("/slow", { key: "reject" }),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([409, 409]);
      gate.open();
      await first;
    });
  });

  it("is 422 under mismatch: 'reject' where it asks for something else", async () => {
    const gate = createGate();
    await withTwoShops({ mismatch: "reject" }, gate, async (one) => {
      const first = one.post("/slow", { key: "clash", json: { status: 200 } });
      await gate.reached;
      expect((await one.post("/slow", { key: "clash", json: { status: 202 } })).status).toBe(422);
      gate.open();
      await first;
    });
  });

  it("that asks only if stored is refused with 409, in this process or another", async () => {
    const gate = createGate();
    await withTwoShops({}, gate, async (one, two) => {
      const first = one.post("/slow", { key: "probe" });
      await gate.reached;
      const asked = { key: "probe", headers: { "idempotency-only-if-stored": "true" } };
      const answers = await Promise.all([one.post("/slow", asked), two.post("/slow", asked)]);
      expect(answers.map(({ status }) => status)).toEqual([409, 409]);
      gate.open();
      await first;
    });
  });

  it.each<[string, object, number]>([
    ["replies 500", { status: 500 }, 500],
    ["replies 429, which is not stored", { status: 429 }, 429],
    ["throws", { throws: true }, 500],
  ])(
    "is refused with 409 and Retry-After if the first handler %s, and does not run it again",
    async (name, json, status) => {
      const gate = createGate();
      let runs = 0;
      await withShop(
        { pool },
        (app) =>
          app.post<{ Body: { status: number; throws?: true } }>(
            "/flaky",
            { config: { idempotency: true } },
            async (request, reply) => {
              runs += 1;
              await gate.pass();
              if (request.body.throws) throw new Error("the downstream is away");
              return reply.code(request.body.status).send({});
            },
          ),
        async ({ post }) => {
          const request = { key: name.replaceAll(/\W+/g, "-"), json };
          const first = post("/flaky", request);
          await gate.reached;
          const duplicates = Array.from({ length: 11 }, () => post("/flaky", request));
          // Answered one after the other, behind the duplicates: by then all of them wait.
          const asked = { ...request, headers: { "idempotency-only-if-stored": "true" } };
          for (let asks = 0; asks < 11; asks += 1) await post("/flaky", asked);
          gate.open();
          expect((await first).status).toBe(status);
          for (const duplicate of await Promise.all(duplicates)) {
            expect(duplicate.status).toBe(409);
            expect(duplicate.headers.get("retry-after")).toBe("1");
            expect(duplicate.json()).toMatchObject({
              code: "idempotency_in_flight",
              detail: "The first request with this key failed while this one waited for it",
            });
          }
          expect(runs).toBe(1);
          await post("/flaky", request);
          expect(runs, "a later request runs").toBe(2);
        },
      );
    },
  );

  it("of 500 holds one connection in its process, and none while it waits in another", async () => {
    const gate = createGate();
    await withTwoShops({}, gate, async (one, two) => {
      const first = one.post("/slow", { key: "storm" });
      await gate.reached;
      const others = Array.from({ length: 499 }, (_, index) =>
        (index % 2 === 0 ? one : two).post("/slow", { key: "storm" }),
      );
      expect(one.pool.totalCount - one.pool.idleCount, "the one that runs").toBe(1);
      // It asks again and again, and gives the connection back in between.
      const out: number[] = [];
      while (!(out.includes(0) && out.includes(1))) {
        out.push(two.pool.totalCount - two.pool.idleCount);
        await new Promise(setImmediate);
      }
      expect(Math.max(...out), "the one that waits").toBe(1);
      gate.open();
      const answers = await Promise.all([first, ...others]);
      expect(new Set(answers.map(({ text }) => text))).toEqual(new Set(['{"run":1}']));
      expect(answers.every(({ status }) => status === 201)).toBe(true);
    });
  });
});
