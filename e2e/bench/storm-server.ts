/**
 * A shop of its own process for the storm: one route whose handler takes as long as the request
 * asks.
 */
import { idempotency, migrate } from "@oncekey/server";
import { endWithParent, reportPort } from "@oncekey/test-support/processes/report-port";
import Fastify from "fastify";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";

/** Maximum number of checked-out connections since the parent's last request. */
export interface StormReport {
  readonly kind: "held";
  readonly connections: number;
}

endWithParent();

const pool = new pg.Pool({ connectionString: process.argv[2], max: 16 });
let most = 0;
pool.on("acquire", () => {
  most = Math.max(most, pool.totalCount - pool.idleCount);
});

await migrate(pool);
await pool.query("create table if not exists payments (id int generated always as identity)");
const app = Fastify({ forceCloseConnections: true });
await app.register(idempotency, { pool, scope: "single-tenant", sweep: false });
app.post<{ Body: { handlerMs: number } }>(
  "/payments",
  { config: { idempotency: true } },
  async (request, reply) => {
    await request.idempotency.tx.query("insert into payments default values");
    if (request.body.handlerMs > 0) await sleep(request.body.handlerMs);
    return reply.code(201).send({ ok: true });
  },
);
// The cost of 64 requests for the machine by themselves: the same wait, without Oncekey and without
// a database.
app.post<{ Body: { handlerMs: number } }>("/bare", async (request, reply) => {
  await sleep(request.body.handlerMs);
  return reply.code(201).send({ ok: true });
});
await app.listen({ host: "127.0.0.1", port: 0 });
process.on("message", () => {
  const report: StormReport = { kind: "held", connections: most };
  process.send?.(report);
  most = 0;
});
reportPort(app);
