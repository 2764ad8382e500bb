import { setTimeout as sleep } from "node:timers/promises";
import { gzipSync } from "node:zlib";
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

function refuse(): never {
  throw Object.assign(new Error("not now"), { statusCode: 409 });
}

describe("a lease route", () => {
  it("holds no transaction, and throws with the alternative", async () => {
    await withShop(
      { pool },
      (app) => app.post("/charge", leased("rerun"), async (request) => request.idempotency.tx),
      async ({ post }) => {
        const answer = await post("/charge", { key: "tx" });
        expect(answer.status).toBe(500);
        expect(answer.json()["message"]).toContain("use step() for calls");
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

  it.each([401, 403, 409, 423, 429])(
    "that throws a %i before any step has begun frees the key, as a replied one does",
    async (statusCode) => {
      let runs = 0;
      await withShop(
        { pool },
        (app) =>
          app.post("/charge", leased("fail"), async () => {
            runs += 1;
            if (runs === 1) throw Object.assign(new Error("not now"), { statusCode });
            return "charged";
          }),
        async ({ post }) => {
          const key = `thrown-${statusCode}`;
          const answers = [await post("/charge", { key }), await post("/charge", { key })];
          expect(answers.map(({ status }) => status)).toEqual([statusCode, 200]);
        },
      );
    },
  );

  it.each<[string, () => unknown]>([
    ["has ended", () => "ch_1"],
    ["throws it", refuse],
  ])("that throws a 409 after a step %s leaves it to onCrash", async (name, charge) => {
    await withShop(
      { pool },
      (app) =>
        app.post("/charge", leased("fail"), async (request) => {
          await request.idempotency.step("charge", charge);
          return refuse();
        }),
      async ({ post }) => {
        const key = `thrown-late-${name.replaceAll(" ", "-")}`;
        const first = await post("/charge", { key });
        const second = await post("/charge", { key });
        expect(first.status).toBe(409);
        expect(second.json()["code"]).toBe("idempotency_outcome_unknown");
      },
    );
  });

  it("that throws a 409 before its first step leaves the steps of an earlier run to onCrash", async () => {
    let asked = 0;
    const rerun: OnCrash = () => {
      asked += 1;
      return "rerun";
    };
    await withShop(
      { pool },
      (app) =>
        app.post("/charge", leased(rerun), async ({ idempotency: { step, attempt } }) => {
          if (attempt === 1) await step("charge", () => "ch_1");
          if (attempt < 3) throw Object.assign(new Error("not now"), { statusCode: 409 });
          return step("charge", () => "ch_2");
        }),
      async ({ post }) => {
        const texts: string[] = [];
        for (let run = 1; run <= 3; run += 1) {
          texts.push((await post("/charge", { key: "thrown-early" })).text);
        }
        expect([texts[2], asked]).toEqual(["ch_1", 2]);
      },
    );
  });

  it.each([409, 429])(
    "that replies %i keeps the finished steps, and onCrash is not asked",
    async (status) => {
      const charges: number[] = [];
      const attempts: number[] = [];
      let asked = 0;
      const onCrash: OnCrash = () => {
        asked += 1;
        return "fail";
      };
      await withShop(
        { pool },
        (app) =>
          app.post("/charge", leased(onCrash), async (request, reply) => {
            const { step, attempt } = request.idempotency;
            attempts.push(attempt);
            await step("charge", () => charges.push(attempt));
            if (attempt < 3) return reply.code(status).send("not now");
            return { charges: charges.length };
          }),
        async ({ post }) => {
          const key = `kept-${status}`;
          const pay = (json: unknown) => post("/charge", { key, json });
          expect((await pay({ amount: 1 })).status).toBe(status);
          // Another request cannot take over the steps of this one.
          expect((await pay({ amount: 2 })).json()["code"]).toBe("idempotency_conflict");
          expect((await pay({ amount: 1 })).status).toBe(status);
          expect((await pay({ amount: 1 })).json()).toEqual({ charges: 1 });
          expect([attempts, asked]).toEqual([[1, 2, 3], 0]);
        },
      );
    },
  );

  it.each([
    ["still runs", "lease_until = now() + interval '1 hour'", 409, "first request with this key"],
    [
      "has finished",
      `lease_until = null, status = 201, headers = '[]', body = 'theirs',
        fence_until = now() + interval '1 hour'`,
      201,
      "theirs",
    ],
  ])(
    "that lost its lease to an owner that %s sends none of its own headers",
    async (_what, change, status, text) => {
      const handlers = { "set-cookie": "own=1", "content-encoding": "gzip", location: "/own" };
      const key = `lost-${status}`;
      await withShop(
        { pool },
        (app) =>
          app.post("/charge", leased("fail"), async (_request, reply) => {
            await pool.query(
              `update oncekey.records set owner = gen_random_uuid(), ${change} where key = $1`,
              [key],
            );
            return reply.headers(handlers).send(gzipSync("own"));
          }),
        async ({ post }) => {
          const answer = await post("/charge", { key });
          expect([answer.status, answer.text]).toEqual([status, expect.stringContaining(text)]);
          for (const name of Object.keys(handlers)) {
            expect(answer.headers.get(name), name).toBeNull();
          }
        },
      );
    },
  );

  it("that replies 429 while a step still runs leaves it to onCrash: its effect may come", async () => {
    const { promise, resolve } = Promise.withResolvers<string>();
    await withShop(
      { pool },
      (app) =>
        app.post("/charge", leased("fail"), async (request, reply) => {
          request.idempotency.step("charge", () => promise).catch(() => undefined);
          return reply.code(429).send("not now");
        }),
      async ({ post }) => {
        expect((await post("/charge", { key: "running" })).status).toBe(429);
        const second = await post("/charge", { key: "running" });
        expect(second.json()["code"]).toBe("idempotency_outcome_unknown");
        resolve("ch_1");
      },
    );
  });
});
