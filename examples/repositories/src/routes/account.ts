import type { FastifyInstance } from "fastify";
import { listEntries } from "../repositories/ledger.ts";
import { topUpCredit } from "../services/top-up-credit.ts";
import { topUpSchema } from "./schemas.ts";
import type { TopUpBody } from "./schemas.ts";

export async function accountRoutes(app: FastifyInstance): Promise<void> {
  app.get("/ledger", (request) => listEntries(request.customerId));

  const toppingUp = { schema: topUpSchema, config: { idempotency: true } };
  app.post<{ Body: TopUpBody }>("/top-ups", toppingUp, async (request, reply) => {
    const creditCents = await topUpCredit(request.customerId, request.body.amountCents);
    return reply.code(201).send({ creditCents });
  });
}
