/** Charges a card at a provider, then writes the payment: strategy `lease` holds no connection during the call. */
import { idempotency, migrate } from "@oncekey/server";
import Fastify from "fastify";
import pg from "pg";

const PROVIDER = process.env["PROVIDER_URL"] ?? "http://localhost:4000";
const pool = new pg.Pool({ connectionString: process.env["DATABASE_URL"] });
await migrate(pool);
await pool.query(
  "create table if not exists payments (order_id text primary key, charge_id text not null)",
);

async function charge(key: string, order: string, signal: AbortSignal): Promise<{ id: string }> {
  const response = await fetch(`${PROVIDER}/charges`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": key },
    body: JSON.stringify({ order }),
    signal,
  });
  if (!response.ok) throw new Error(`the provider answered ${response.status}`);
  return (await response.json()) as { id: string };
}

const app = Fastify();
await app.register(idempotency, {
  pool,
  scope: "single-tenant",
  lease: { durationMs: Number(process.env["LEASE_MS"] ?? 30_000), onCrash: "rerun" },
});

app.post<{ Params: { order: string } }>(
  "/orders/:order/payment",
  { config: { idempotency: { strategy: "lease" } } },
  async (request, reply) => {
    const { step, commit, deriveKey, signal } = request.idempotency;
    const { order } = request.params;
    // A rerun after a crash gets the remembered result, or repeats the call under the same derived key.
    const charged = await step("charge", () => charge(deriveKey("charge"), order, signal));
    await commit((tx) => tx.query("insert into payments values ($1, $2)", [order, charged.id]));
    return reply.code(201).send(charged);
  },
);
await app.listen({ port: Number(process.env["PORT"] ?? 3000) });
