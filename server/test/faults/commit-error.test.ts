/** Errors that Postgres raises at COMMIT, and conflicts that cannot occur there. */
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await pool.query(`
    create table parents (id int primary key);
    create table children (key text, parent int references parents deferrable initially deferred)`);
});

describe.each(["advisory", "unique", "row"] as const)("strategy %s", (strategy) => {
  const config = { idempotency: { strategy } };

  it("a constraint that fails at COMMIT: 503, nothing is kept, and the retry runs", async () => {
    const [key, parent] = [`deferred-${strategy}`, strategy.length];
    const addChild = (app: FastifyInstance): unknown =>
      app.post("/children", { config }, async (request, reply) => {
        const { tx } = request.idempotency;
        await tx.query("insert into children values ($1, $2)", [key, parent]);
        return reply.code(201).send({ child: crypto.randomUUID() });
      });
    await withShop({ pool }, addChild, async ({ post }) => {
      const refused = await post("/children", { key });
      expect([refused.status, refused.json()["code"]]).toEqual([503, "idempotency_unavailable"]);
      expect(refused.json()["detail"]).toContain("Nothing was kept");
      expect(await children(key)).toBe(0);
      await pool.query("insert into parents values ($1)", [parent]);
      const made = await post("/children", { key });
      expect([made.status, made.headers.get("idempotent-replayed")]).toEqual([201, null]);
      expect((await post("/children", { key })).text).toBe(made.text);
      expect(await children(key)).toBe(1);
    });
  });

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
