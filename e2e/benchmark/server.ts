/** A server under measurement: `server.ts DATABASE_URL SUBJECT [REDIS_URL]`. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Session } from "node:inspector/promises";
import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { endWithParent, reportPort } from "@oncekey/test-support/processes/report-port";
import { idempotency } from "@oncekey/server";
import type { SweepEvent } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyReply, FastifyRequest } from "fastify";
import pg from "pg";
import { addBare } from "./subjects/bare.ts";
import { insertPayment, receipt } from "./subjects/handler.ts";
import type { PeerServer } from "./peers/peer.ts";
import { STRATEGIES } from "./subjects/subjects.ts";
import type { Question, ServerAnswer } from "./server-message.ts";
import type { StrategyName, SubjectName } from "./subjects/subjects.ts";

const PATHS = ["/payments", "/uncached"];

endWithParent();
const [databaseUrl = "", name = "", redisUrl = ""] = process.argv.slice(2);
const MAX_CONNECTIONS = 16;
const pool = new pg.Pool({ connectionString: databaseUrl, max: MAX_CONNECTIONS });
pool.on("error", () => {});
let mostHeld = 0;
pool.on("acquire", () => {
  mostHeld = Math.max(mostHeld, pool.totalCount - pool.idleCount);
});
let profiler: Session | undefined;

const app = Fastify({ forceCloseConnections: true });
await addRoutes(name as SubjectName);
// The cost of 64 slow requests by themselves: the same wait, without Oncekey or a database.
app.post<{ Body: { handlerMs: number } }>("/bare", async (request, reply) => {
  await sleep(request.body.handlerMs);
  return reply.code(201).send(receipt("1"));
});
await app.listen({ host: "127.0.0.1", port: 0 });
process.on("message", (question: Question) => {
  void answer(question).then((message) => process.send?.(message));
});
reportPort(app);

async function addRoutes(subject: SubjectName): Promise<void> {
  switch (subject) {
    case "F0":
      for (const path of PATHS) app.post(path, (_, reply) => reply.code(201).send(receipt("1")));
      break;
    case "F1":
      app.post(PATHS[0] ?? "", async (_, reply) =>
        reply.code(201).send(receipt(await insertPayment(pool))),
      );
      break;
    case "F2":
      addTransaction();
      break;
    case "bare":
      addBare(app, pool, PATHS);
      break;
    case "advisory":
    case "unique":
    case "row":
    case "lease":
      await addProtected(subject);
      break;
    case "node-idempotency": {
      const { addNodeIdempotency } = await import("./peers/node-idempotency.ts");
      await addNodeIdempotency(peerServer());
      break;
    }
    case "powertools": {
      const { addPowertools } = await import("./peers/powertools.ts");
      await addPowertools(peerServer());
      break;
    }
    case "dbos": {
      const { addDbos } = await import("./peers/dbos.ts");
      await addDbos(peerServer());
      break;
    }
    default:
      throw new RangeError(
        `no subject is called ${name}; there are F0, F1, F2, bare, ${STRATEGIES.join(", ")}`,
      );
  }
}

// A peer is loaded by its own server alone.
function peerServer(): PeerServer {
  return { app, pool, databaseUrl, redisUrl, paths: PATHS };
}

function addTransaction(): void {
  app.post(PATHS[0] ?? "", async (_, reply) => {
    const client = await pool.connect();
    try {
      await client.query("begin");
      const id = await insertPayment(client);
      await client.query("commit");
      return reply.code(201).send(receipt(id));
    } catch (error) {
      await client.query("rollback");
      throw error;
    } finally {
      client.release();
    }
  });
}

async function addProtected(strategy: StrategyName): Promise<void> {
  await app.register(idempotency, {
    pool,
    scope: "single-tenant",
    strategy,
    sweep: false,
    ...(strategy === "lease" ? { lease: { onCrash: "fail" } } : {}),
  });
  const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const id = await insertPayment(strategy === "lease" ? pool : request.idempotency.tx);
    const { handlerMs = 0 } = request.body as { handlerMs?: number };
    if (handlerMs > 0) await sleep(handlerMs);
    return reply.code(201).send(receipt(id));
  };
  for (const path of PATHS) {
    const own = path === "/uncached" ? { replayCache: false } : true;
    app.post(path, { config: { idempotency: own } }, handler);
  }
  if (strategy !== "advisory") return;
  // The same handler for callers of several scopes, with and without a share for each.
  for (const [path, share] of [
    ["/shared", {}],
    ["/unlimited", { maxInFlightPerScope: MAX_CONNECTIONS }],
  ] as const) {
    await app.register(async (inner) => {
      const scope = ({ headers }: FastifyRequest): string => String(headers["x-tenant"]);
      await inner.register(idempotency, { pool, scope, strategy, sweep: false, ...share });
      inner.post(path, { config: { idempotency: true } }, handler);
    });
  }
}

async function sweep(): Promise<number[]> {
  const batches: SweepEvent[] = [];
  const listen = (event: unknown): void => void batches.push(event as SweepEvent);
  subscribe("oncekey:sweep", listen);
  await app.idempotency.sweep();
  unsubscribe("oncekey:sweep", listen);
  const rows = batches.map(({ deletedRows, buriedRows }) => deletedRows + buriedRows);
  const fullest = Math.max(0, ...rows);
  return batches
    .filter((_, index) => (rows[index] ?? 0) > 0.9 * fullest)
    .map(({ sweepMs }) => Math.round(10 * sweepMs) / 10);
}

async function answer(question: Question): Promise<ServerAnswer> {
  switch (question.ask) {
    case "held": {
      const connections = mostHeld;
      mostHeld = 0;
      return { kind: "held", connections };
    }
    case "sweep":
      return { kind: "swept", batchMs: await sweep() };
    case "start-profile":
      profiler = new Session();
      profiler.connect();
      await profiler.post("Profiler.enable");
      await profiler.post("Profiler.setSamplingInterval", { interval: 250 });
      await profiler.post("Profiler.start");
      return { kind: "done" };
    case "write-profile": {
      const stopped = await profiler?.post("Profiler.stop");
      await writeFile(question.file, JSON.stringify(stopped?.profile));
      return { kind: "done" };
    }
    default:
      return question satisfies never;
  }
}
