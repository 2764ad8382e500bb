/** The shop of `examples/fastify-postgres` before Oncekey: the skill of @oncekey/server was tried on it. */
import Fastify from "fastify";
import pg from "pg";

declare module "fastify" {
  interface FastifyRequest {
    user: { readonly id: string };
  }
}

const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"] });
await pool.query(
  "create table if not exists orders (id serial primary key, customer text, lines jsonb)",
);

const app = Fastify();
app.addHook("onRequest", async (request) => {
  const id = /^Bearer (\w+)$/.exec(request.headers.authorization ?? "")?.[1];
  if (id === undefined) throw Object.assign(new Error("sign in first"), { statusCode: 401 });
  request.user = { id };
});

app.post<{ Body: { lines: string[] } }>("/api/orders", async (request, reply) => {
  const { lines } = request.body;
  if (lines.length === 0) return reply.code(422).send({ error: "the cart is empty" });
  const { rows } = await pool.query<{ id: number }>(
    "insert into orders (customer, lines) values ($1, $2) returning id",
    [request.user.id, JSON.stringify(lines)],
  );
  return reply.code(201).send(rows[0]);
});
await app.listen({ port: Number(process.env["PORT"] ?? 3000) });
