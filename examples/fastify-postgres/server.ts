/** Orders of signed-in users, on Fastify and PostgreSQL. */
import { idempotency, migrate } from "@oncekey/server";
import Fastify from "fastify";
import pg from "pg";

declare module "fastify" {
  interface FastifyRequest {
    user: { readonly id: string };
  }
}

const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"] });
await migrate(pool);
await pool.query(
  "create table if not exists orders (id serial primary key, customer text, lines jsonb)",
);

const app = Fastify();
// Stands for your own authentication, which also runs before each replay.
app.addHook("onRequest", async (request) => {
  const id = /^Bearer (\w+)$/.exec(request.headers.authorization ?? "")?.[1];
  if (id === undefined) throw Object.assign(new Error("sign in first"), { statusCode: 401 });
  request.user = { id };
});
await app.register(idempotency, { pool, scope: (request) => request.user.id });

app.post<{ Body: { lines: string[] } }>(
  "/api/orders",
  { config: { idempotency: true } },
  async (request, reply) => {
    const { lines } = request.body;
    if (lines.length === 0) return reply.code(422).send({ error: "the cart is empty" });
    const { rows } = await request.idempotency.tx.query<{ id: number }>(
      "insert into orders (customer, lines) values ($1, $2) returning id",
      [request.user.id, JSON.stringify(lines)],
    );
    return reply.code(201).send(rows[0]);
  },
);
await app.listen({ port: Number(process.env["PORT"] ?? 3000) });
