/** A shop on Bun: prints its port when it listens. */
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import { Pool } from "pg";

const pool = new Pool({ connectionString: process.env["DATABASE_URL"], max: 5 });
const app = Fastify();
await app.register(idempotency, { pool, scope: "single-tenant", replayCache: false });

const insert = "insert into orders (sku) values ($1) returning id";
app.post<{ Body: { sku: string } }>(
  "/orders",
  { config: { idempotency: true } },
  async (request, reply) => {
    const { rows } = await request.idempotency.tx.query(insert, [request.body.sku]);
    if (request.body.sku === "broken") throw new Error("the handler failed");
    return reply.code(201).send(rows[0]);
  },
);
app.post<{ Body: { sku: string } }>(
  "/leased",
  { config: { idempotency: { strategy: "lease", lease: { onCrash: "rerun" } } } },
  async (request, reply) => {
    const { step, commit } = request.idempotency;
    const charge = await step("charge", () => ({ id: 7 }));
    await commit((tx) => tx.query(insert, [request.body.sku]));
    return reply.code(201).send(charge);
  },
);

const url = await app.listen({ host: "127.0.0.1", port: 0 });
console.log(`port ${new URL(url).port}`);
