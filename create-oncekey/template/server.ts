/** The shop: one protected route, a list of orders, and the page. */
import { idempotency, migrate } from "@oncekey/server";
import Fastify from "fastify";
import pg from "pg";
import { createServer } from "vite";

const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"] });
await migrate(pool).catch((error: unknown) => {
  console.error("DATABASE_URL must name a PostgreSQL server that runs; see README.md");
  throw error;
});
await pool.query(
  "create table if not exists orders (id serial primary key, cart text, lines jsonb)",
);

const app = Fastify();
// With users: scope: (request) => request.user.id
await app.register(idempotency, { pool, scope: "single-tenant" });

app.post<{ Body: { cart: string; lines: string[] } }>(
  "/api/orders",
  { config: { idempotency: true } },
  async (request, reply) => {
    const { cart, lines } = request.body;
    const { rows } = await request.idempotency.tx.query<{ id: number }>(
      "insert into orders (cart, lines) values ($1, $2) returning id",
      [cart, JSON.stringify(lines)],
    );
    return reply.code(201).send(rows[0]);
  },
);
app.get("/api/orders", async () => {
  const { rows } = await pool.query<{ count: number }>("select count(*)::int as count from orders");
  return rows[0];
});

// Vite compiles and serves the page.
const vite = await createServer({ server: { middlewareMode: true } });
app.get("/*", (request, reply) => {
  reply.hijack();
  vite.middlewares(request.raw, reply.raw);
});

const port = Number(process.env["PORT"] ?? 3000);
await app.listen({ port });
console.log(`http://localhost:${port}`);
