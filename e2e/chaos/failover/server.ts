/** One server process: the same effect behind each of the four strategies. It lives as long as the process that started it. */
import { setTimeout as sleep } from "node:timers/promises";
import { idempotency } from "@oncekey/server";
import type { CrashDecision, RouteIdempotencyOptions, Strategy } from "@oncekey/server";
import { endWithParent, reportPort } from "@oncekey/test-support/processes/report-port";
import Fastify from "fastify";
import type { FastifyRequest } from "fastify";
import { Pool } from "pg";
import type { ClientBase } from "pg";
import { FINGERPRINT_HEADER, OPERATION_HEADER, SCOPE_HEADER } from "../protocol/order.ts";

/** The longest that a handler takes between its effect and its answer, so that faults fall in between. */
const HANDLER_MS = 40;

endWithParent();
const { DATABASE_URL: connectionString } = process.env;
const pool = new Pool({ connectionString, max: 20, connectionTimeoutMillis: 2_000 });
const app = Fastify();
await app.register(idempotency, { pool, scope: scopeOf });
for (const [strategy, protection] of Object.entries(protections())) {
  app.post(`/${strategy}`, { config: { idempotency: protection } }, async (request, reply) => {
    const id = crypto.randomUUID();
    await addEffect(strategy === "lease" ? pool : request.idempotency.tx, id, request);
    await sleep(Math.random() * HANDLER_MS);
    return reply.code(201).send(answerWith(id, scopeOf(request)));
  });
}
await app.listen({ host: "127.0.0.1", port: 0 });
reportPort(app);

function protections(): Readonly<Record<Strategy, RouteIdempotencyOptions>> {
  return {
    advisory: { strategy: "advisory" },
    unique: { strategy: "unique" },
    row: { strategy: "row" },
    lease: { strategy: "lease", lease: { durationMs: 10_000, onCrash: findEffect } },
  };
}

/** Looks for what an owner that did not finish has left, as a handler with effects elsewhere would ask there. */
async function findEffect({
  key,
  scope,
}: {
  readonly key: string;
  readonly scope: string;
}): Promise<CrashDecision> {
  const { rows } = await pool.query<{ id: string }>(
    "select id from effects where key = $1 and scope = $2",
    [key, scope],
  );
  const [found] = rows;
  return found === undefined ? "rerun" : { status: 201, body: answerWith(found.id, scope) };
}

/** Unique to an effect, and so to the run of the handler that had it. */
function answerWith(effect: string, scope: string): object {
  return { answer: `the answer of ${effect}`, effect, scope };
}

function scopeOf({ headers }: FastifyRequest): string {
  return String(headers[SCOPE_HEADER]);
}

async function addEffect(
  db: Pick<ClientBase, "query">,
  id: string,
  request: FastifyRequest,
): Promise<void> {
  const { key } = request.idempotency;
  const { [OPERATION_HEADER]: operation, [FINGERPRINT_HEADER]: fingerprint } = request.headers;
  const target = `${request.method} ${request.url}`;
  await db.query(
    `insert into effects (id, operation, scope, key, target, fingerprint)
     values ($1, $2, $3, $4, $5, $6)`,
    [id, operation, scopeOf(request), key, target, fingerprint],
  );
}
