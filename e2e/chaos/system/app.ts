/** The rig's shop: every strategy under every policy, over one handler, with the moments of a request marked. */
import { subscribe } from "node:diagnostics_channel";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { idempotency, transactional } from "@oncekey/server";
import type { IdempotencyOptions, OnCrash, RouteIdempotencyOptions } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type { Pool } from "pg";
import { borrow, giveBack } from "@oncekey/test-support/postgres/borrow";
import { addOperator, createOnCrash } from "./decide.ts";
import { passage, reach } from "./freeze.ts";
import { DIGEST_SECRET, ENVIRONMENT } from "../protocol/messages.ts";
import { createHandler } from "./handler.ts";
import type { Parts } from "./handler.ts";
import { scopeOf } from "../../shop/effects.ts";
import type { Order } from "../protocol/order.ts";
import { breakOff } from "./partial-reply.ts";
import { ALL_ROUTES, LEASE_MS, TURNING_ROUTE } from "../protocol/routes.ts";
import type { Route } from "../protocol/routes.ts";
import type { TurningPool } from "./turning-pool.ts";

interface Pools {
  /** Lent to Oncekey. */
  readonly pool: Pool;
  readonly outside: Pool;
  readonly turning: TurningPool;
}

// Shorter than a client's patience, so that a duplicate sees 409 and not only replays.
const WAIT_MS = 1_500;
const HOLD_MS = 1_000;

export async function createApp(
  { pool, outside, turning }: Pools,
  maxHandlerMs: number,
): Promise<FastifyInstance> {
  const app = Fastify({ logger: loggerOf() });
  const options: Omit<IdempotencyOptions, "pool"> = {
    scope: scopeOf,
    waitMs: WAIT_MS,
    maxHandlerMs,
    sweep: { intervalMs: 1_000, batchSize: 500 },
    digestSecret: DIGEST_SECRET,
  };
  const recover = { everyMs: 500, afterMs: 500 };
  await app.register(idempotency, { ...options, recover, pool });
  // Runs after the plugin's own hooks: a change of the body here does not change the fingerprint.
  app.addHook("preValidation", async ({ body }) => {
    if (typeof body === "object" && body !== null) Reflect.set(body, "stamp", randomUUID());
  });
  const repositories = transactional(pool);
  for (const route of ALL_ROUTES) {
    if (route !== TURNING_ROUTE) addRoute(app, route, { outside, repositories });
  }
  await app.register(async (scope) => {
    await scope.register(idempotency, { ...options, pool: () => turning.current() });
    addRoute(scope, TURNING_ROUTE, { outside, repositories: undefined });
  });
  addHold(app, pool);
  app.post("/turn", async () => ({ ended: await turning.turn() }));
  addForget(app);
  addOperator(app, outside);
  subscribe("oncekey:begin", (event) => {
    const { outcome } = event as { readonly outcome: string };
    if (outcome === "claimed" || outcome === "crashed") reach("S1");
  });
  return app;
}

function loggerOf(): false | { readonly level: string; readonly file: string } {
  const { [ENVIRONMENT.logs]: folder, [ENVIRONMENT.name]: name } = process.env;
  if (folder === undefined) return false;
  return { level: "warn", file: join(folder, `${name}-${process.pid}.log`) };
}

function addRoute(
  app: FastifyInstance,
  route: Route,
  pools: Pick<Parts, "outside" | "repositories">,
): void {
  const { strategy } = route.policy;
  app.post<{ Body: Order }>(
    route.path,
    {
      config: { idempotency: optionsOf(route, createOnCrash(pools.outside)) },
      preHandler: (_request, reply, done) =>
        passage.run({ strategy, phase: "asked" }, () => {
          reach("S0");
          breakOff(reply.raw);
          done();
        }),
      // A replay and a refusal are bytes already: only what a handler answered comes by here.
      preSerialization: async (_request, _reply, payload) => {
        const own = passage.getStore();
        if (own !== undefined) own.phase = "handled";
        reach("S4");
        return payload;
      },
    },
    createHandler({ route, ...pools }),
  );
}

function optionsOf({ policy }: Route, ask: OnCrash): RouteIdempotencyOptions {
  const { strategy, mismatch, retentionMs, onCrash, isKeyless = false } = policy;
  const { fenceMs = retentionMs } = policy;
  return {
    strategy,
    mismatch,
    retentionMs,
    fenceMs,
    required: !isKeyless,
    ...(onCrash === undefined
      ? {}
      : { lease: { durationMs: LEASE_MS, onCrash: onCrash === "ask" ? ask : onCrash } }),
  };
}

/**
 * Takes all connections of the pool for a second, as a leaking application does. Answers with their
 * number.
 */
function addHold(app: FastifyInstance, pool: Pool): void {
  app.post("/hold", async () => {
    const asked = Array.from({ length: pool.options.max }, () => hold(pool));
    // One that the pool could not give in time is not there to be given back.
    const taken = await Promise.allSettled(asked);
    return { held: taken.filter(({ status }) => status === "fulfilled").length };
  });
}

async function hold(pool: Pool): Promise<void> {
  const client = await borrow(pool);
  setTimeout(() => giveBack(client), HOLD_MS);
}

function addForget(app: FastifyInstance): void {
  app.post<{ Body: { readonly scope: string; readonly key: string; readonly target: string } }>(
    "/forget",
    async ({ body }) => ({
      forgotten: await app.idempotency.forget(body, { by: "the rig", reason: "a forget" }),
    }),
  );
}
