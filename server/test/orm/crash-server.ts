/** A server whose one protected route writes through a library. Argument: the library's file in `libraries`, without its ending. */
import { idempotency, transactional } from "@oncekey/server";
import Fastify from "fastify";
import pg from "pg";
import type { Library } from "./libraries/library.ts";

const { library } = (await import(`./libraries/${process.argv[2]}.ts`)) as { library: Library };
const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"], max: 4 });
const db = await library.open(transactional(pool));
const app = Fastify();
await app.register(idempotency, { pool, scope: "single-tenant" });
app.post<{ Body: { amount: number } }>(
  "/payments",
  { config: { idempotency: true } },
  async ({ body: { amount } }, reply) => {
    const id = await db.insert(amount);
    await db.transaction(async (trx) => {
      await trx.insert(-amount);
    });
    return reply.code(201).send({ id });
  },
);
await app.listen({ host: "127.0.0.1", port: Number(process.env["PORT"]) });
