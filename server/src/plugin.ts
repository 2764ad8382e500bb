/** The plugin: adds its hooks, and runs its background work. */
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from "fastify";
import fp from "fastify-plugin";
import type { Pool } from "pg";
import { withDeadline } from "./async/deadline.ts";
import { createAdministration } from "./admin-api.ts";
import { ARRIVAL, readBody, readTarget } from "./request/arrival.ts";
import { createEngines } from "./backend/backend.ts";
import type { RequestIdempotency } from "./context/handler-api.ts";
import { STATE } from "./context/request-state.ts";
import { originalPool } from "./context/transactional.ts";
import { checkOptions, resolveRouteOptions } from "./options/options.ts";
import type { IdempotencyOptions, PoolOption } from "./options/options.ts";
import { logUndecided, recoverAll, startRecovery } from "./recover.ts";
import { createRouteTable } from "./request/route-table.ts";
import { createPools, partsOf } from "./backend/pools.ts";
import type { Pools } from "./backend/pools.ts";
import {
  nameOf,
  protectionOf,
  protectRoute,
  REGISTRATION,
  rejectOutOfScope,
  rejectUnprotected,
} from "./request/protect-route.ts";
import type { Registration } from "./request/protect-route.ts";
import { onSend } from "./response/on-send.ts";
import type { DatabaseEngine } from "./store/postgres/dialect.ts";
import { NO_ANSWER } from "./store/postgres/connection.ts";
import { sweepBatch } from "./store/maintenance/sweep-batch.ts";
import { setDigestSecret } from "./telemetry/key-digest.ts";
import { startSweeper } from "./store/maintenance/sweeper.ts";

const plugin: FastifyPluginAsync<IdempotencyOptions> = async (app, registered) => {
  checkOptions(registered);
  if (Object.hasOwn(app, REGISTRATION)) {
    throw new TypeError(
      "idempotency is already registered on this Fastify instance; a second registration needs a scope of its own: app.register(async (scope) => …)",
    );
  }
  const {
    schema = "oncekey",
    replayCache = true,
    global = false,
    sweep = {},
    recover = {},
  } = registered;
  const { maxInFlightPerScope, digestSecret } = registered;
  if (digestSecret !== undefined) setDigestSecret(digestSecret);
  const pool = withOriginals(registered.pool);
  const pools = createPools({
    schema,
    needsAdvisoryLocks: () => engines.strategies().has("advisory"),
    onSeen: createIdleGuard(app),
    onSound: (engine) => sayEngine(app, engine),
  });
  const engines = createEngines({ pool, pools, replayCache, maxInFlightPerScope });
  if (typeof pool !== "function") pools.add(pool);

  const registration: Registration = { global, pool, schema };
  app.decorate(REGISTRATION, registration);
  const routes = createRouteTable(registered);
  const administration = createAdministration({
    option: pool,
    schema,
    pools,
    engines,
    routes,
    recover: recover === false ? {} : recover,
    log: app.log,
  });
  app.decorate("idempotency", administration);
  addRequestHooks(app);
  app.addHook("onRoute", function (route) {
    // A nested scope runs the hooks of the scopes around it as well: the nearest registration protects the route.
    if (this[REGISTRATION] !== registration) return;
    const protection = protectionOf(route, global);
    if (protection === undefined) return;
    const { own, methods } = protection;
    const options = resolveRouteOptions(registered, own, nameOf(route));
    routes.add(route, options);
    protectRoute(route, { methods, options, engine: engines.forRoute(options) });
  });
  app.addHook("onReady", async () => {
    if (typeof pool !== "function" && engines.strategies().size > 0)
      await refuseUnsound(app, pools, pool);
  });
  if (recover !== false) {
    const recovery = startRecovery(
      () => (routes.leasePatterns().length === 0 ? [] : pools.seen()),
      async (used, signal) =>
        recoverAll(partsOf(await pools.open(used)), routes, recover, app.log, signal),
      recover,
      (error, used) => {
        if (!used.ending)
          app.log.warn({ reason: String(error) }, "crashed leases could not be recovered");
      },
    );
    app.addHook("onClose", () => recovery.stop());
  }
  if (sweep === false) return;
  const announce = logUndecided(app.log);
  const sweeper = startSweeper(
    () => pools.seen(),
    async (used, ...batch) => sweepBatch(partsOf(await pools.open(used)), ...batch, announce),
    sweep,
    (outcome, used) => {
      if ("error" in outcome && !used.ending)
        app.log.warn({ reason: String(outcome.error) }, "expired records could not be swept");
    },
  );
  app.addHook("onClose", () => sweeper.stop());
};

/** Takes the pools behind transactional ones: the claim's own connection belongs to no handler. */
function withOriginals(option: PoolOption): PoolOption {
  return typeof option === "function"
    ? (request) => originalPool(option(request))
    : originalPool(option);
}

/** Adds what all registrations of one tree share: an outer scope's decorators and hooks reach the scopes in it. */
function addRequestHooks(app: FastifyInstance): void {
  if (app.hasRequestDecorator(STATE)) return;
  app.decorateRequest(STATE, null);
  app.decorateRequest("idempotency", {
    getter(this: FastifyRequest) {
      // Undefined outside of protected requests, which the type leaves out as that of `request.user` does.
      return this[STATE]?.api as RequestIdempotency;
    },
  });
  // On the instance, so that it runs before every `onSend` of a route: a compressor there sees a stored response, never the other way.
  app.addHook("onSend", onSend);
  // As early as we are asked: what hooks behind these make of a request does not decide whether it is the same as another.
  app.decorateRequest(ARRIVAL, null);
  app.addHook("onRequest", readTarget);
  app.addHook("preValidation", readBody);
  const root = rootOf(app);
  if (guardedRoots.has(root)) return;
  guardedRoots.add(root);
  root.addHook("onRoute", function (route) {
    rejectOutOfScope(this, route);
  });
  root.addHook("onRequest", rejectUnprotected);
}

const guardedRoots = new WeakSet<FastifyInstance>();

/** Returns the instance around all scopes. Fastify makes each scope from the one around it, as its prototype. */
function rootOf(app: FastifyInstance): FastifyInstance {
  let root: FastifyInstance = app;
  for (;;) {
    const outer: unknown = Object.getPrototypeOf(root);
    if (typeof outer !== "object" || outer === null || !("addHook" in outer)) return root;
    root = outer as FastifyInstance;
  }
}

/**
 * The Fastify plugin. Routes opt in with `config: { idempotency: true }`. Their handler writes
 * through `request.idempotency.tx`, and those writes and the stored response commit together,
 * before the reply leaves.
 *
 * @throws at registration, TypeError or RangeError with the option, its value and what is allowed.
 */
export const idempotency: FastifyPluginAsync<IdempotencyOptions> = fp(plugin, {
  name: "@oncekey/server",
  fastify: "5.x",
});

// Refuses to start if locks do not exclude other sessions, or if the table can lose rows: no
// promise would hold.
async function refuseUnsound(app: FastifyInstance, pools: Pools, pool: Pool): Promise<void> {
  const limitMs = startLimitMs(app);
  const opened = await withDeadline(pools.open(pool), limitMs, () => ({
    kind: "unreachable" as const,
    detail: NO_ANSWER,
    cause: new Error(`no answer within ${limitMs} ms`),
  }));
  switch (opened.kind) {
    case "open":
      return;
    case "unsound":
      throw new Error(`idempotency cannot start: ${opened.reason}; ${opened.remedy}`);
    case "unreachable":
      app.log.warn(
        { reason: String(opened.cause) },
        "the database did not answer; idempotency tests it before the first request",
      );
      return;
    default:
      opened satisfies never;
  }
}

// Fastify gives every plugin 10 s for its start by default (0: no limit), and then fails the
// application. A database that is silent for so long must not fail it: the test goes on, and the
// first requests wait for it.
function startLimitMs({ initialConfig }: FastifyInstance): number {
  return Math.min(MAX_START_MS, (initialConfig.pluginTimeout || Number.POSITIVE_INFINITY) / 2);
}

const MAX_START_MS = 5_000;

function sayEngine(app: FastifyInstance, { judgement }: DatabaseEngine): void {
  const { verdict, found, advice } = judgement;
  if (verdict === "ok") app.log.info(`idempotency: ${found}`);
  else app.log.warn(`idempotency: ${found}; ${advice}`);
}

// An idle connection that dies makes the pool emit `error`, which ends a process without a listener. The pool drops the
// connection by itself.
function createIdleGuard(app: FastifyInstance): (pool: Pool) => void {
  const pools = new Set<WeakRef<Pool>>();
  const onError = (error: Error): void =>
    app.log.warn({ reason: error.message }, "an idle database connection was lost");
  app.addHook("onClose", async () => {
    for (const pool of pools) pool.deref()?.removeListener("error", onError);
  });
  return (pool) => {
    for (const ref of pools) if (ref.deref()?.ending ?? true) pools.delete(ref);
    pools.add(new WeakRef(pool));
    pool.on("error", onError);
  };
}
