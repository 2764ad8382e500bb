import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import type { Strategy } from "@oncekey/server";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

const INSERT = "insert into payments (amount) values (1)";
const protect = { config: { idempotency: true } };

/** Writes, and then fails in the way of a framework that answers for a throw itself, such as GraphQL. */
function failingWith(store: boolean) {
  let runs = 0;
  return (app: FastifyInstance): unknown =>
    app.post("/graphql", protect, async ({ idempotency: { tx, rollback } }) => {
      await tx.query(INSERT);
      rollback({ store });
      return { errors: [{ message: "out of stock" }], run: (runs += 1) };
    });
}

describe("rollback()", () => {
  it.each<Strategy>(["advisory", "unique", "row"])(
    "undoes the writes of a reply with status 200, and stores the reply: %s",
    async (strategy) => {
      await withShop({ pool, strategy }, failingWith(true), async ({ post }) => {
        const before = await countPayments(pool);
        const first = await post("/graphql", { key: strategy });
        const again = await post("/graphql", { key: strategy });
        expect(first.json()).toMatchObject({ run: 1 });
        expect([again.text, again.headers.get("idempotent-replayed")]).toEqual([
          first.text,
          "true",
        ]);
        expect(await countPayments(pool)).toBe(before);
      });
    },
  );

  it.each<Strategy>(["advisory", "unique", "row"])(
    "frees the key as well with store: false: %s",
    async (strategy) => {
      await withShop({ pool, strategy }, failingWith(false), async ({ post }) => {
        const before = await countPayments(pool);
        for (const run of [1, 2]) {
          const answer = await post("/graphql", { key: `${strategy}-free` });
          expect([answer.status, answer.json()["run"]]).toEqual([200, run]);
        }
        expect(await countPayments(pool)).toBe(before);
      });
    },
  );

  it("frees a lease with store: false, so that onCrash is not asked", async () => {
    const lease = { strategy: "lease", lease: { onCrash: "fail" } } as const;
    let runs = 0;
    await withShop(
      { pool },
      (app) =>
        app.post("/charge", { config: { idempotency: lease } }, async (request) => {
          request.idempotency.rollback({ store: false });
          return { run: (runs += 1) };
        }),
      async ({ post }) => {
        for (const run of [1, 2])
          expect((await post("/charge", { key: "leased" })).json()).toEqual({ run });
      },
    );
  });

  it("throws once the reply is stored, and does nothing on replays and refusals", async () => {
    const errors: unknown[] = [];
    await withShop(
      { pool },
      (app) => {
        app.addHook("onResponse", async ({ idempotency }) => {
          try {
            idempotency.rollback();
            errors.push(undefined);
          } catch (error) {
            errors.push((error as Error).message);
          }
        });
        app.post("/pay", protect, async () => "done");
      },
      async ({ post }) => {
        await post("/pay", { key: "late" });
        await expect.poll(() => errors).toHaveLength(1);
        await post("/pay", { key: "late" });
        await post("/pay");
        await expect
          .poll(() => errors)
          .toEqual(["rollback() came too late: the reply is stored already", undefined, undefined]);
      },
    );
  });
});

describe("an error handler that replies for a throw", () => {
  const throwing =
    (thrown: object, status: number) =>
    (app: FastifyInstance): void => {
      app.setErrorHandler((_error, _request, reply) =>
        reply.code(status).send({ errors: [status] }),
      );
      app.post("/pay", protect, async (request) => {
        await request.idempotency.tx.query(INSERT);
        throw Object.assign(new Error("thrown"), thrown);
      });
    };

  it.each<[string, object, number, "stored" | "free"]>([
    ["an unexpected error as 200", {}, 200, "free"],
    ["a 503 as 200", { statusCode: 503 }, 200, "free"],
    ["a 409 as 200", { statusCode: 409 }, 200, "free"],
    ["a final 400 as 200", { statusCode: 400 }, 200, "stored"],
    ["a final 402 as 200", { statusCode: 402 }, 200, "stored"],
    ["a final 404, by `status`, as 200", { status: 404 }, 200, "stored"],
    ["an unexpected error as 399", {}, 399, "free"],
    ["an unexpected error as a final 400", {}, 400, "stored"],
    ["an unexpected error as a final 422", {}, 422, "stored"],
    ["a final 402 as 500", { statusCode: 402 }, 500, "free"],
  ])("rolls back, and what was thrown counts: %s", async (name, thrown, status, expected) => {
    await withShop({ pool }, throwing(thrown, status), async ({ post }) => {
      const before = await countPayments(pool);
      const key = name.replaceAll(/\W/g, "-");
      expect((await post("/pay", { key })).status).toBe(status);
      const again = await post("/pay", { key });
      expect(again.status).toBe(status);
      expect(again.headers.get("idempotent-replayed")).toBe(expected === "stored" ? "true" : null);
      expect(await countPayments(pool)).toBe(before);
    });
  });
});

describe("a lease handler that throws a 409 under onCrash 'fail'", () => {
  const lease = { strategy: "lease", lease: { onCrash: "fail" } } as const;
  const conflict = () => Object.assign(new Error("busy"), { statusCode: 409 });

  it("frees the key if no step has begun", async () => {
    let runs = 0;
    await withShop(
      { pool },
      (app) =>
        app.post("/charge", { config: { idempotency: lease } }, async () => {
          runs += 1;
          if (runs === 1) throw conflict();
          return "charged";
        }),
      async ({ post }) => {
        expect((await post("/charge", { key: "before" })).status).toBe(409);
        expect((await post("/charge", { key: "before" })).text).toBe("charged");
      },
    );
  });

  it("leaves it to onCrash after a step", async () => {
    await withShop(
      { pool },
      (app) =>
        app.post(
          "/charge",
          { config: { idempotency: lease } },
          async ({ idempotency: { step } }) => {
            await step("charge", () => "ch_1");
            throw conflict();
          },
        ),
      async ({ post }) => {
        expect((await post("/charge", { key: "after" })).status).toBe(409);
        const again = await post("/charge", { key: "after" });
        expect(again.json()["code"]).toBe("idempotency_outcome_unknown");
      },
    );
  });
});
