import type { FastifyInstance } from "fastify";
import { pool } from "../db/db.ts";

export async function healthRoutes(app: FastifyInstance): Promise<void> {
  app.get("/health", { config: { isPublic: true } }, async () => {
    await pool.query("select 1");
    return { status: "up" };
  });
}
