/** The parts that a peer's routes are made of. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type pg from "pg";

export interface PeerServer {
  readonly app: FastifyInstance;
  readonly pool: pg.Pool;
  readonly databaseUrl: string;
  readonly redisUrl: string;
  readonly paths: readonly string[];
}

export interface PaymentRequest {
  readonly path: string;
  readonly key: string;
  readonly body: Record<string, unknown>;
}

export function readRequest({ url, headers, body }: FastifyRequest): PaymentRequest {
  return {
    path: url,
    key: String(headers["idempotency-key"]),
    body: body as Record<string, unknown>,
  };
}

/** Names a replay as Oncekey does, so that the load generator recognises it. */
export function reply(to: FastifyReply, result: unknown, isReplay: boolean): FastifyReply {
  if (isReplay) to.header("idempotent-replayed", "true");
  return to.code(201).send(result);
}
