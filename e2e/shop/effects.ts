/** The ledger of effects: one row for each that a handler had. */
import type { FastifyRequest } from "fastify";
import type { ClientBase, Pool } from "pg";

/** The caller's scope: the stand-in for a sign-in. Default `one`. */
export const SCOPE_HEADER = "shop-scope";
/** For the checker: the operation that a request belongs to, and what must not change under its key. */
export const OPERATION_HEADER = "shop-operation";
export const FINGERPRINT_HEADER = "shop-fingerprint";

/** No constraint on key or id: a second effect must not fail, it must be seen. */
export const EFFECTS = `
create table effects (
  number bigint generated always as identity primary key,
  id text not null,
  operation text,
  scope text not null,
  key text not null,
  target text not null,
  fingerprint text,
  downstream text,
  at timestamptz not null default statement_timestamp()
);`;

export function scopeOf({ headers }: Pick<FastifyRequest, "headers">): string {
  return String(headers[SCOPE_HEADER] ?? "one");
}

/** @param downstream The key that another service got for this effect. */
export async function addEffect(
  db: Pick<ClientBase, "query"> | Pool,
  request: FastifyRequest,
  id: string | null,
  downstream: string | null = null,
): Promise<void> {
  const { headers, method, routeOptions } = request;
  const operation = headers[OPERATION_HEADER];
  await db.query(
    `insert into effects (id, operation, scope, key, target, fingerprint, downstream)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [
      id,
      operation,
      scopeOf(request),
      headers["idempotency-key"] ?? operation,
      `${method} ${routeOptions.url}`,
      headers[FINGERPRINT_HEADER],
      downstream,
    ],
  );
}

/** @param key Default: every key. */
export async function countEffects(pool: Pool, key?: string): Promise<number> {
  const sql = "select from effects where $1::text is null or key = $1";
  const { rowCount } = await pool.query(sql, [key]);
  return rowCount ?? 0;
}
