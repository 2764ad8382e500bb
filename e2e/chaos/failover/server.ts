/** One server process: the shop of the strategies. It lives as long as the process that started it. */
import { setTimeout as sleep } from "node:timers/promises";
import type { CrashDecision } from "@oncekey/server";
import { endWithParent, reportPort } from "@oncekey/test-support/processes/report-port";
import { Pool } from "pg";
import { scopeOf } from "../../shop/effects.ts";
import { createStrategyShop } from "../../shop/strategy-shop.ts";

/** The longest that a handler takes between its effect and its answer, so that faults fall in between. */
const HANDLER_MS = 40;

endWithParent();
const { DATABASE_URL: connectionString } = process.env;
const pool = new Pool({ connectionString, max: 20, connectionTimeoutMillis: 2_000 });
const app = await createStrategyShop({
  pool,
  lease: { durationMs: 10_000, onCrash: findEffect },
  async answer(effect, request) {
    await sleep(Math.random() * HANDLER_MS);
    return answerWith(effect, scopeOf(request));
  },
});
await app.listen({ host: "127.0.0.1", port: 0 });
reportPort(app);

/** Looks for what an owner that did not finish has left, as a handler with effects elsewhere would ask there. */
async function findEffect({
  key,
  scope,
}: {
  readonly key: string;
  readonly scope: string;
}): Promise<CrashDecision> {
  const { rows } = await pool.query<{ id: string }>(
    "select id from effects where key = $1 and scope = $2",
    [key, scope],
  );
  const [found] = rows;
  return found === undefined ? "rerun" : { status: 201, body: answerWith(found.id, scope) };
}

/** Unique to an effect, and so to the run of the handler that had it. */
function answerWith(effect: string, scope: string): object {
  return { answer: `the answer of ${effect}`, effect, scope };
}
