import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import { pool } from "./db/db.ts";
import { addAuthentication } from "./plugins/authentication.ts";
import { addErrorHandler } from "./plugins/errors.ts";
import { accountRoutes } from "./routes/account.ts";
import { healthRoutes } from "./routes/health.ts";
import { orderRoutes } from "./routes/orders.ts";
import { productRoutes } from "./routes/products.ts";

export async function buildApp(): Promise<FastifyInstance> {
  const app = Fastify({ logger: { level: "warn" } });
  addErrorHandler(app);
  addAuthentication(app);
  await app.register(idempotency, { pool, scope: ({ customerId }) => customerId });
  await app.register(healthRoutes);
  await app.register(productRoutes, { prefix: "/products" });
  await app.register(orderRoutes, { prefix: "/orders" });
  await app.register(accountRoutes, { prefix: "/account" });
  app.addHook("onClose", () => pool.end());
  return app;
}
