import type { FastifyInstance } from "fastify";
import type { Pool } from "pg";

declare module "fastify" {
  interface FastifyRequest {
    readonly user: { readonly id: string };
  }
}
declare global {
  const pool: Pool;
  const app: FastifyInstance;
  const sdk: { start(): void };
}
