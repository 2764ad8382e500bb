/** Errors that Postgres raises at COMMIT, and conflicts that cannot occur there. */
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { post as send, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await pool.query(`
    create table parents (id int primary key);
    create table children (key text, parent int references parents deferrable initially deferred);
    create table orders (key text);
    create function shut_down() returns trigger language plpgsql as
      $$ begin raise exception 'shutdown' using errcode = 'admin_shutdown'; end $$;
    create constraint trigger at_commit after insert on orders
      deferrable initially deferred for each row execute function shut_down()`);
});

describe.each(["advisory", "unique", "row"] as const)("strategy %s", (strategy) => {
  const config = { idempotency: { strategy } };

  it("a constraint that fails at COMMIT: 500 that no retry mends, the SQLSTATE in the log, and nothing is kept", async () => {
    const [key, parent] = [`deferred-${strategy}`, strategy.length];
    const addChild = (app: FastifyInstance): unknown =>
      app.post("/children", { config }, async (request, reply) => {
        const { tx } = request.idempotency;
        await tx.query("insert into children values ($1, $2)", [key, parent]);
        return reply.code(201).send({ child: crypto.randomUUID() });
      });
    await withShop({ pool }, addChild, async ({ post }) => {
      const refused = await post("/children", { key });
      expect(refused.status).toBe(500);
      expect(refused.headers.get("retry-after")).toBeNull();
      expect(refused.json()).toMatchObject({
        code: "idempotency_writes_refused",
        retryable: false,
        detail: "The database refused the writes of the handler; nothing was kept of this request",
      });
      expect(refused.text).not.toContain("children");
      expect(await children(key)).toBe(0);
      await pool.query("insert into parents values ($1)", [parent]);
      const made = await post("/children", { key });
      expect([made.status, made.headers.get("idempotent-replayed")]).toEqual([201, null]);
      expect((await post("/children", { key })).text).toBe(made.text);
      expect(await children(key)).toBe(1);
    });
  });

  it("SQLSTATE 57P01 at COMMIT: 503 that calls the outcome unknown, because the COMMIT may stand", async () => {
    const addOrder = (app: FastifyInstance): unknown =>
      app.post("/orders", { config }, async ({ idempotency: { tx, key } }) => {
        await tx.query("insert into orders values ($1)", [key]);
        return "ordered";
      });
    await withShop({ pool }, addOrder, async ({ post }) => {
      const answer = await post("/orders", { key: `shutdown-${strategy}` });
      expect(answer.status).toBe(503);
      expect(answer.json()).toMatchObject({
        code: "idempotency_unavailable",
        retryable: true,
        detail: "Whether this request was done is not known yet; send it again with the same key",
      });
    });
  });

  it("a statement that fails and is caught before a 400: its writes are gone, and a retry gets the stored 400", async () => {
    const key = `refused-${strategy}`;
    let runs = 0;
    const addChild = (app: FastifyInstance): unknown =>
      app.post("/children", { config }, async (request, reply) => {
        runs += 1;
        const { tx } = request.idempotency;
        await tx.query("insert into children values ($1)", [key]);
        await tx.query("insert into children values (null, 'no number')").catch(() => {});
        return reply.code(400).send({ run: runs });
      });
    await withShop({ pool }, addChild, async ({ post }) => {
      const first = await post("/children", { key });
      const again = await post("/children", { key });
      expect([first.status, first.json()]).toEqual([400, { run: 1 }]);
      expect([again.status, again.text]).toEqual([400, first.text]);
      expect(again.headers.get("idempotent-replayed")).toBe("true");
      expect([runs, await children(key)]).toEqual([1, 0]);
    });
  });

  it("a statement that fails and is caught before a 400 to a request without a key: the caller gets the 400", async () => {
    const addChild = (app: FastifyInstance): unknown =>
      app.post("/children", { config }, async ({ idempotency: { tx } }, reply) => {
        await tx.query("insert into children values (null, 'no number')").catch(() => {});
        return reply.code(400).send({ refused: "no number" });
      });
    await withShop({ pool, required: false }, addChild, async ({ post }) => {
      const answer = await post("/children");
      expect([answer.status, answer.json()]).toEqual([400, { refused: "no number" }]);
    });
  });

  it.each([
    ["fails for good", "insert into children values (null, 'no number')", 500, "22P02"],
    ["could succeed later", "select pg_temp.conflict()", 503, "40001"],
  ])(
    "a statement that %s and is caught before a 2xx: nothing is kept, and its SQLSTATE is in the log",
    async (name, statement, status, sqlState) => {
      const key = `caught-${strategy}-${sqlState}`;
      const lines: string[] = [];
      const app = Fastify({ logger: { stream: { write: (line) => lines.push(line) } } });
      try {
        await app.register(idempotency, { pool, scope: "single-tenant", required: false });
        app.post("/children", { config }, async (request, reply) => {
          const { tx } = request.idempotency;
          await tx.query(
            "create function pg_temp.conflict() returns void language plpgsql as $$ begin raise exception 'x' using errcode = '40001'; end $$",
          );
          await tx.query("insert into children values ($1)", [key]);
          // Taken back by its savepoint: this one failed nothing.
          await tx.query("savepoint before");
          await tx.query("select 1 / 0").catch(() => tx.query("rollback to savepoint before"));
          await tx.query(statement).catch(() => {});
          await tx.query("select 1").catch(() => {});
          return reply.code(201).header("location", "/children/1").send({});
        });
        const url = await app.listen({ host: "127.0.0.1", port: 0 });
        for (const sent of [key, undefined]) {
          lines.length = 0;
          const answer = await send(url, "/children", { key: sent });
          expect([name, answer.status, answer.json()["retryable"]]).toEqual([
            name,
            status,
            status === 503,
          ]);
          expect(answer.headers.get("location")).toBeNull();
          expect(lines.join("")).toContain(`"sqlState":"${sqlState}"`);
          expect(await children(key)).toBe(0);
        }
      } finally {
        await app.close();
      }
    },
  );

  it("a handler cannot raise the isolation level, so that no serialization failure comes up at COMMIT", async () => {
    const raise = (app: FastifyInstance): unknown =>
      app.post("/raise", { config }, async (request) => {
        const { tx } = request.idempotency;
        const { rows } = await tx.query("show transaction_isolation");
        await tx.query("savepoint before");
        const refused = await tx
          .query("set transaction isolation level serializable")
          .catch((error: unknown) => (error as { readonly code?: string }).code);
        await tx.query("rollback to savepoint before");
        return [rows[0].transaction_isolation, refused];
      });
    // The default isolation level of the user's database does not matter.
    const strict = database.pool({ options: "-c default_transaction_isolation=serializable" });
    await withShop({ pool: strict }, raise, async ({ post }) => {
      const answer = await post("/raise", { key: `raise-${strategy}` });
      expect([answer.status, answer.json()]).toEqual([200, ["read committed", "25001"]]);
    });
  });
});

async function children(key: string): Promise<number | null> {
  return (await pool.query("select from children where key = $1", [key])).rowCount;
}
