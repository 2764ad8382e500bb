/** A shop with a route for each strategy: every request has one effect and gets a 201. */
import { randomUUID } from "node:crypto";
import { idempotency } from "@oncekey/server";
import type { IdempotencyOptions, LeaseOptions, Strategy } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type { Pool } from "pg";
import { addEffect, scopeOf } from "./effects.ts";

export const STRATEGIES: readonly Strategy[] = ["advisory", "unique", "row", "lease"];

export interface StrategyShop extends Partial<IdempotencyOptions> {
  readonly pool: Pool;
  readonly lease: LeaseOptions;
  /** Returns the body of the reply, after the effect. */
  readonly answer: (effect: string, request: FastifyRequest) => Promise<object>;
}

/** The routes are `POST /advisory`, `/unique`, `/row` and `/lease`. The table of effects exists. */
export async function createStrategyShop({
  answer,
  lease,
  ...options
}: StrategyShop): Promise<FastifyInstance> {
  const app = Fastify();
  await app.register(idempotency, { scope: scopeOf, ...options });
  for (const strategy of STRATEGIES) {
    const protection = strategy === "lease" ? { strategy, lease } : { strategy };
    app.post(`/${strategy}`, { config: { idempotency: protection } }, async (request, reply) => {
      const effect = randomUUID();
      await addEffect(
        strategy === "lease" ? options.pool : request.idempotency.tx,
        request,
        effect,
      );
      return reply.code(201).send(await answer(effect, request));
    });
  }
  return app;
}
