import type { FastifyInstance } from "fastify";
import { ShopError } from "../errors.ts";

/** Answers a {@link ShopError} with its code; every other error is Fastify's. */
export function addErrorHandler(app: FastifyInstance): void {
  app.setErrorHandler((error, request, reply) => {
    if (!(error instanceof ShopError)) throw error;
    request.log.info({ code: error.code }, error.message);
    return reply.code(error.statusCode).send({ code: error.code, message: error.message });
  });
}
