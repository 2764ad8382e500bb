/** An application for `oncekey recover --app`: `CRASH_ANSWER` decides what its `onCrash` returns. */
import { idempotency } from "@oncekey/server";
import type { CrashDecision } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import pg from "pg";

export default async function build(): Promise<FastifyInstance> {
  const pool = new pg.Pool({ connectionString: process.env["APP_DATABASE_URL"] });
  const app = Fastify();
  await app.register(idempotency, {
    pool,
    scope: "single-tenant",
    sweep: false,
    recover: { everyMs: 86_400_000, afterMs: 0 },
  });
  const onCrash = (): CrashDecision =>
    JSON.parse(process.env["CRASH_ANSWER"] ?? '"rerun"') as CrashDecision;
  app.post(
    "/payments",
    { config: { idempotency: { strategy: "lease", lease: { onCrash } } } },
    () => {},
  );
  app.addHook("onClose", () => pool.end());
  return app;
}
