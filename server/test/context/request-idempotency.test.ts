import type { RequestIdempotency } from "@oncekey/server";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, expectTypeOf, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

let seen: string[] = [];
beforeEach(() => {
  seen = [];
});

/** Notes what a hook or a handler sees, as an access log would. */
function note(place: string, { idempotency }: FastifyRequest): void {
  const known = idempotency as RequestIdempotency | undefined;
  seen.push(known === undefined ? `${place} nothing` : `${place} ${known.outcome} ${known.key}`);
}

/** Adds hooks that note `request.idempotency` at each stage of a request. */
function observe(app: FastifyInstance): void {
  app.addHook("onRequest", async (request) => note("onRequest", request));
  app.addHook("onSend", async (request) => note("onSend", request));
  app.addHook("onResponse", async (request) => note("onResponse", request));
  app.setErrorHandler((error, request, reply) => {
    note("error handler", request);
    return reply.code(503).send({ message: (error as Error).message });
  });
}

const pay = { config: { idempotency: true } };

describe("request.idempotency", () => {
  it("is set from admission to the end of first requests, replays and refusals", async () => {
    await withShop(
      { pool },
      (app) => {
        observe(app);
        app.post("/pay", pay, async (request) => {
          note("handler", request);
          return "paid";
        });
      },
      async ({ post }) => {
        await post("/pay", { key: "k" });
        await expect.poll(() => seen).toHaveLength(4);
        await post("/pay", { key: "k" });
        await expect.poll(() => seen).toHaveLength(7);
        await post("/pay", { key: "k", headers: { "content-type": "text/plain" } });
        await expect.poll(() => seen).toHaveLength(10);
        await post("/pay");
        await expect.poll(() => seen).toHaveLength(13);
        const onlyIfStored = { "idempotency-only-if-stored": "true" };
        await post("/pay", { key: "other", headers: onlyIfStored });
        await expect.poll(() => seen).toHaveLength(16);
        const lines = `
          onRequest nothing, handler claimed k, onSend claimed k, onResponse claimed k
          onRequest nothing, onSend replay k, onResponse replay k
          onRequest nothing, onSend mismatch k, onResponse mismatch k
          onRequest nothing, onSend refused undefined, onResponse refused undefined
          onRequest nothing, onSend absent other, onResponse absent other`;
        expect(seen).toEqual(lines.trim().split(/,\s|\n\s*/));
      },
    );
  });

  it("leaves the real error to the error handler, which sees the key", async () => {
    await withShop(
      { pool },
      (app) => {
        observe(app);
        app.post("/pay", pay, async () => {
          throw new Error("the handler's own");
        });
      },
      async ({ post }) => {
        const answer = await post("/pay", { key: "broken" });
        expect(answer.json()["message"]).toBe("the handler's own");
        expect(seen).toContain("error handler claimed broken");
      },
    );
  });

  it("is undefined before admission, for requests that validation refuses, and on other routes", async () => {
    await withShop(
      { pool },
      (app) => {
        observe(app);
        const schema = { body: { type: "object", required: ["amount"] } };
        app.post("/pay", { ...pay, schema }, async () => "paid");
        app.post("/plain", async (request) => {
          note("handler", request);
          return typeof request.idempotency;
        });
        app.route({
          method: ["GET", "POST"],
          url: "/both",
          ...pay,
          handler: async (request) => typeof request.idempotency,
        });
      },
      async ({ app, post }) => {
        await post("/pay", { key: "k", json: {} });
        expect((await post("/plain", { key: "k" })).text).toBe("undefined");
        expect((await app.inject({ url: "/both" })).body).toBe("undefined");
        await post("/nowhere", { key: "k" });
        await expect
          .poll(() => new Set(seen))
          .toEqual(
            new Set([
              "onRequest nothing",
              "onSend nothing",
              "onResponse nothing",
              "error handler nothing",
              "handler nothing",
            ]),
          );
      },
    );
  });

  it("lets a repository choose its connection by request.idempotency?.tx ?? pool", async () => {
    const save = async (request: FastifyRequest, amount: number): Promise<void> => {
      const { tx } = (request.idempotency as RequestIdempotency | undefined) ?? {};
      await (tx ?? pool).query("insert into payments (amount) values ($1)", [amount]);
    };
    await withShop(
      { pool },
      (app) => {
        // Writes through the pool for refusals and replays, which hold no transaction.
        app.addHook("onSend", async (request) => {
          if (request.idempotency?.outcome === "replay") await save(request, 3);
        });
        app.post("/plain", async (request) => save(request, 1));
        app.post("/pay", pay, async (request) => {
          await save(request, 2);
          throw new Error("rolled back");
        });
        app.post("/done", pay, async () => "done");
      },
      async ({ post }) => {
        const before = await countPayments(pool);
        await post("/plain");
        await post("/pay", { key: "helper" });
        expect(await countPayments(pool)).toBe(before + 1);
        await post("/done", { key: "helper" });
        await post("/done", { key: "helper" });
        expect(await countPayments(pool)).toBe(before + 2);
      },
    );
  });

  it("accepts savepoints on tx", async () => {
    await withShop(
      { pool },
      (app) =>
        app.post("/pay", pay, async ({ idempotency: { tx } }) => {
          await tx.query("insert into payments (amount) values (1)");
          await tx.query("SAVEPOINT step");
          await tx.query("insert into payments (amount) values (2)");
          await tx.query("ROLLBACK TO SAVEPOINT step");
          await tx.query("RELEASE SAVEPOINT step");
          return "paid";
        }),
      async ({ post }) => {
        const before = await countPayments(pool);
        expect((await post("/pay", { key: "savepoint" })).status).toBe(200);
        expect(await countPayments(pool)).toBe(before + 1);
      },
    );
  });

  it("throws on tx under lease, and on nothing else that is read or destructured", async () => {
    const lease = { strategy: "lease", lease: { onCrash: "fail" } } as const;
    await withShop(
      { pool },
      (app) =>
        app.post("/charge", { config: { idempotency: lease } }, async (request) => {
          const { key, outcome, attempt, signal, step, deriveKey } = request.idempotency;
          expect(() => request.idempotency.tx).toThrow("strategy 'lease' holds no transaction");
          const charge = await step("charge", () => deriveKey("charge"));
          return {
            key,
            outcome,
            attempt,
            aborted: signal.aborted,
            same: charge === deriveKey("charge"),
          };
        }),
      async ({ post }) => {
        expect((await post("/charge", { key: "leased" })).json()).toEqual({
          key: "leased",
          outcome: "claimed",
          attempt: 1,
          aborted: false,
          same: true,
        });
      },
    );
  });

  it("derives keys without a key as well: the same within a request, others in the next", async () => {
    await withShop(
      { pool, required: false },
      (app) =>
        app.post("/pay", pay, async (request) => {
          const { key, outcome, deriveKey }: RequestIdempotency<string | undefined> =
            request.idempotency;
          return [key ?? null, outcome, deriveKey("a"), deriveKey("a"), deriveKey("b")];
        }),
      async ({ post }) => {
        const [one, two] = [await post("/pay"), await post("/pay")].map(
          ({ text }) => JSON.parse(text) as string[],
        );
        expect(one?.slice(0, 2)).toEqual([null, "keyless"]);
        expect(one?.[2]).toBe(one?.[3]);
        expect(new Set([one?.[2], one?.[4], two?.[2]]).size).toBe(3);
      },
    );
  });

  it("has a key of type string", () => {
    expectTypeOf<FastifyRequest["idempotency"]["key"]>().toEqualTypeOf<string>();
    expectTypeOf<RequestIdempotency<string | undefined>["key"]>().toEqualTypeOf<
      string | undefined
    >();
  });
});
