import type { FastifyInstance } from "fastify";
import { ShopError } from "../errors.ts";
import { findCustomerByToken } from "../repositories/customers.ts";

declare module "fastify" {
  interface FastifyRequest {
    customerId: string;
  }
}

/** Requires a customer's bearer token on every route but the public ones. */
export function addAuthentication(app: FastifyInstance): void {
  app.decorateRequest("customerId", "");
  app.addHook("onRequest", async (request) => {
    if (request.routeOptions.config.isPublic === true) return;
    const token = request.headers.authorization?.replace(/^Bearer /, "") ?? "";
    const customer = await findCustomerByToken(token);
    if (customer === undefined) throw new ShopError(401, "unauthorized", "sign in first");
    request.customerId = customer.id;
  });
}

declare module "fastify" {
  interface FastifyContextConfig {
    isPublic?: boolean;
  }
}
