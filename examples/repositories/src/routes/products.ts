import type { FastifyInstance } from "fastify";
import { listProducts } from "../repositories/products.ts";

export async function productRoutes(app: FastifyInstance): Promise<void> {
  app.get("/", { config: { isPublic: true } }, () => listProducts());
}
