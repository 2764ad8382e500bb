import { idempotency, transactional } from "@oncekey/server";
import Fastify from "fastify";
import pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createPayments, withShop } from "../support/shop.ts";
import type { Answer } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
/** The pool that a code base shares: its repositories know nothing of the request. */
let shared: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  shared = transactional(pool);
  await createPayments(pool);
});
beforeEach(async () => void (await pool.query("truncate payments")));

async function amounts(): Promise<number[]> {
  const { rows } = await pool.query<{ amount: number }>("select amount from payments order by 1");
  return rows.map(({ amount }) => amount);
}

function insert(amount: number, on: Pick<pg.Pool, "query"> = shared): Promise<unknown> {
  return on.query("insert into payments (amount) values ($1)", [amount]);
}

/** Inserts in a transaction of its own, as a repository does; a negative amount fails and is rolled back. */
async function insertInside(amount: number, more?: () => Promise<unknown>): Promise<void> {
  const client = await shared.connect();
  try {
    await client.query("BEGIN");
    await insert(amount, client);
    await more?.();
    if (amount < 0) throw new Error("negative");
    await client.query("COMMIT");
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
}

/** Runs `handle` in a protected handler and answers with what it returns. */
async function inHandler(
  handle: () => Promise<unknown>,
  check: (answer: Answer, again: () => Promise<Answer>) => unknown = ({ status, text }) =>
    expect([status, text]).toEqual([200, "done"]),
): Promise<void> {
  await withShop(
    { pool: shared, outsideWrites: "refuse" },
    (app) =>
      app.post("/pay", { config: { idempotency: true } }, async () => (await handle()) ?? "done"),
    async ({ post }) => {
      const key = crypto.randomUUID();
      await check(await post("/pay", { key }), () => post("/pay", { key }));
    },
  );
}

describe("transactional(pool) in a one-commit handler", () => {
  it("commits what a repository writes together with the stored response, once", async () => {
    await inHandler(
      () => insert(1),
      async (_answer, again) => {
        expect((await again()).headers.get("idempotent-replayed")).toBe("true");
        expect(await amounts()).toEqual([1]);
      },
    );
  });

  it("rolls back what a repository wrote if the handler fails", async () => {
    await inHandler(
      async () => {
        await insert(1);
        await insertInside(2);
        throw new Error("after the writes");
      },
      ({ status }) => expect(status).toBe(500),
    );
    expect(await amounts()).toEqual([]);
  });

  it("sees its own uncommitted writes, by query, by client and by tx alike", async () => {
    await withShop(
      { pool: shared },
      (app) =>
        app.post("/pay", { config: { idempotency: true } }, async ({ idempotency: { tx } }) => {
          await insert(1);
          await insert(2, tx);
          const client = await shared.connect();
          const { rows } = await client.query("select sum(amount)::int as sum from payments");
          client.release();
          return rows[0] as object;
        }),
      async ({ post }) => expect((await post("/pay", { key: "sum" })).json()).toEqual({ sum: 3 }),
    );
  });

  it("makes a failed inner transaction a savepoint, past which the handler goes on", async () => {
    await inHandler(async () => {
      await insertInside(1);
      await expect(insertInside(-2)).rejects.toThrow("negative");
      await insertInside(3);
    });
    expect(await amounts()).toEqual([1, 3]);
  });

  it("nests transactions, also through the shared pool", async () => {
    await inHandler(async () => {
      await insertInside(1, async () => {
        await insertInside(2);
        await insertInside(-3).catch(() => {});
        await insert(4);
      });
      await insertInside(-5, () => insertInside(6)).catch(() => {});
    });
    expect(await amounts(), "what was nested in -5 is undone with it").toEqual([1, 2, 4]);
  });

  it("recovers from a failed statement by rolling back to the savepoint", async () => {
    await inHandler(async () => {
      const client = await shared.connect();
      await client.query("begin");
      await expect(client.query("insert into payments (amount) values (null)")).rejects.toThrow(
        "not-null",
      );
      expect((await client.query("commit")).command, "as Postgres answers it").toBe("ROLLBACK");
      client.release();
      await insert(1);
    });
    expect(await amounts()).toEqual([1]);
  });

  it("keeps transactions that run side by side apart", async () => {
    await inHandler(async () => {
      const ended = await Promise.allSettled([
        insertInside(1),
        insertInside(-2),
        insert(3),
        insertInside(-4),
        insertInside(5),
        insert(6),
      ]);
      expect(ended.map(({ status }) => status[0]).join("")).toBe("frfrff");
    });
    expect(await amounts()).toEqual([1, 3, 5, 6]);
  });

  it("fails a transaction whose writes were undone by the one that it began beside", async () => {
    const pause = Promise.withResolvers<void>();
    await inHandler(async () => {
      const first = insertInside(-1, () => pause.promise);
      const second = insertInside(2, async () => {
        pause.resolve();
        await first.catch(() => {});
      });
      await expect(first).rejects.toThrow("negative");
      await expect(second).rejects.toThrow("rolled back together with another");
      await insert(3);
    });
    expect(await amounts()).toEqual([3]);
  });

  it("keeps what was committed below a transaction that still runs", async () => {
    const pause = Promise.withResolvers<void>();
    await inHandler(async () => {
      const first = insertInside(1, () => pause.promise);
      await insertInside(2, async () => {
        pause.resolve();
        await first;
      });
    });
    expect(await amounts()).toEqual([1, 2]);
  });

  it("rolls back a client that is released inside of its transaction, and refuses a second release", async () => {
    await inHandler(async () => {
      const client = await shared.connect();
      await client.query("begin");
      await insert(1, client);
      client.release();
      expect(() => client.release()).toThrow("released twice");
      await insert(2);
    });
    expect(await amounts()).toEqual([2]);
  });

  it.each([
    "begin isolation level serializable",
    "START TRANSACTION ISOLATION LEVEL REPEATABLE READ",
  ])("refuses a stricter isolation level than it has: %s", async (begin) => {
    await inHandler(async () => {
      const client = await shared.connect();
      await expect(client.query(begin)).rejects.toThrow("is refused: the handler's transaction");
      await client.query("begin isolation level read committed");
      await insert(1, client);
      await client.query("end");
      client.release();
    });
    expect(await amounts()).toEqual([1]);
  });

  it("refuses several statements in one that would end the handler's transaction", async () => {
    await inHandler(async () => {
      await expect(shared.query("begin; select 1; commit")).rejects.toThrow("BEGIN is refused");
      const client = await shared.connect();
      await expect(client.query("commit; select 1")).rejects.toThrow("COMMIT is refused");
      client.release();
    });
  });

  it("serves callbacks and query objects, in the async context of who asked", async () => {
    await inHandler(
      () =>
        new Promise((resolve, reject) => {
          shared.connect((error, client, release) => {
            if (client === undefined) return reject(error ?? new Error("no client"));
            return client.query("insert into payments (amount) values (1)", (failed: unknown) => {
              release();
              if (failed) return reject(failed);
              return shared.query("insert into payments (amount) values (2)", () => {
                const query = new pg.Query("insert into payments (amount) values (3)", () =>
                  resolve("done"),
                );
                // Outside of a client `pg` types no query objects.
                (shared.query as (submitted: unknown) => unknown)(query);
              });
            });
          });
        }),
    );
    expect(await amounts()).toEqual([1, 2, 3]);
  });

  it("rejects what comes after the reply, and throws nothing at once", async () => {
    let late: Promise<unknown> | undefined;
    const open = Promise.withResolvers<void>();
    await inHandler(
      async () => {
        late = open.promise.then(() => insert(1));
        late.catch(() => {});
      },
      async ({ status }) => {
        open.resolve();
        await expect(late).rejects.toThrow("after its transaction had ended");
        expect(status).toBe(200);
      },
    );
    expect(await amounts()).toEqual([]);
  });
});

describe("transactional(pool) elsewhere", () => {
  it("is the pool: in a plain route, a hook, a lease handler, and outside of any request", async () => {
    const lease = { strategy: "lease", lease: { onCrash: "fail" } } as const;
    await withShop(
      { pool: shared },
      (app) => {
        app.addHook("preHandler", async () => void (await insert(1)));
        app.addHook("onSend", () => insertInside(2));
        const fail = async () => {
          await insert(3);
          throw new Error("too late to undo it");
        };
        app.post("/plain", fail);
        app.post("/charge", { config: { idempotency: lease } }, fail);
        app.post("/pay", { config: { idempotency: true } }, async (_request, reply) =>
          reply.code(500).send("failed"),
        );
      },
      async ({ post }) => {
        for (const path of ["/plain", "/charge", "/pay"]) await post(path, { key: "k" });
      },
    );
    await insert(4);
    expect(await amounts()).toEqual([1, 1, 1, 2, 2, 2, 3, 3, 4]);
  });

  it("runs on its own pool in a handler whose transaction is another pool's", async () => {
    const tenant = database.pool();
    const own = transactional(tenant);
    await withShop(
      { pool },
      (app) =>
        app.post("/pay", { config: { idempotency: true } }, async () => {
          await insert(1, own);
          throw new Error("rolled back");
        }),
      async ({ post }) => void (await post("/pay", { key: "other" })),
    );
    expect(await amounts()).toEqual([1]);
  });

  it("keeps two requests apart that run at the same time", async () => {
    const app = Fastify();
    await app.register(idempotency, { pool: shared, scope: "single-tenant", sweep: false });
    app.post<{ Body: { amount: number } }>(
      "/pay",
      { config: { idempotency: true } },
      async ({ body: { amount } }) => {
        await insertInside(amount);
        if (amount % 2 === 1) throw new Error("odd");
        return "even";
      },
    );
    await Promise.all(
      Array.from({ length: 20 }, (_, amount) =>
        app.inject({
          method: "POST",
          url: "/pay",
          payload: { amount },
          headers: { "idempotency-key": crypto.randomUUID() },
        }),
      ),
    );
    await app.close();
    expect(await amounts()).toEqual([0, 2, 4, 6, 8, 10, 12, 14, 16, 18]);
  });

  it("has the shape of a pool: its class, its counters and its events", async () => {
    expect(shared).toBeInstanceOf(pg.Pool);
    expect(shared.totalCount).toBe(pool.totalCount);
    expect(transactional(shared)).toBe(shared);
    expect(() => transactional({} as pg.Pool)).toThrow(
      "transactional needs a pg.Pool, got a object",
    );
  });
});
