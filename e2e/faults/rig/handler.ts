/** The handler of the rig's shop: one effect, and an answer that names it. */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Pool, PoolClient } from "pg";
import type { Answer } from "../checker/case.ts";
import { reach } from "./freeze.ts";
import { CHANCE_HEADER, FINGERPRINT_HEADER, OPERATION_HEADER, SCOPE_HEADER } from "./order.ts";
import type { Deed, Order } from "./order.ts";
import { createRandom } from "./random.ts";
import type { Random } from "./random.ts";
import type { Route } from "./routes.ts";

interface Parts {
  readonly route: Route;
  /** The outside world of a lease's handler: commits by itself whatever becomes of the request. */
  readonly outside: Pool;
}

type Handler = (
  request: FastifyRequest<{ Body: Order }>,
  reply: FastifyReply,
) => Promise<FastifyReply>;

/** Thrown by a handler: Fastify answers with its status. */
class HandlerError extends Error {
  override name = "HandlerError";
  readonly statusCode: number;
  constructor(message: string, statusCode: number) {
    super(message);
    this.statusCode = statusCode;
  }
}

// Of the attempts at a deed that comes to nothing, so many do.
const FAILURE_RATE = 0.6;
const FAILING: readonly Deed[] = ["busy", "break", "deadlock", "serialize", "swallow"];

export function createHandler({ route, outside }: Parts): Handler {
  const isLease = route.policy.strategy === "lease";
  return async (request, reply) => {
    reach("S2");
    const { deed, workMs } = request.body;
    const random = createRandom(Number(request.headers[CHANCE_HEADER]));
    const comesToNothing = FAILING.includes(deed) && random.chance(FAILURE_RATE);
    const answer = answerTo(request);
    if (deed === "decline") return reply.code(402).send({ ...answer, effect: null });
    if (comesToNothing && deed === "busy")
      return reply.code(429).send({ error: "Try again later" });
    // What an outside world has done cannot be rolled back: there a refusal comes before.
    if (deed === "refuse" && isLease) throw refusal(answer);
    const db = isLease ? outside : request.idempotency.tx;
    await charge(db, request, answer, isLease ? request.idempotency.deriveKey("charge") : null);
    reach("S3");
    if (workMs > 0) await sleep(workMs);
    if (deed === "refuse") throw refusal(answer);
    if (comesToNothing && isLease) throw new HandlerError("the handler broke after its call", 502);
    if (comesToNothing) await fail(deed, request.idempotency.tx, random);
    return reply.code(201).header("location", `/effects/${answer.effect}`).send(answer);
  };
}

// It names its scope, so that it shows where it comes from wherever it turns up.
function refusal({ scope }: Answer): HandlerError {
  return new HandlerError(`there is no such thing (scope ${scope})`, 404);
}

// Not from the seed: they tell two runs of the handler apart, those of one attempt too.
function answerTo({ headers }: FastifyRequest): Answer {
  return { answer: randomUUID(), effect: randomUUID(), scope: String(headers[SCOPE_HEADER]) };
}

async function charge(
  db: Pool | PoolClient,
  request: FastifyRequest,
  { effect }: Answer,
  downstream: string | null,
): Promise<void> {
  const { headers, method, routeOptions } = request;
  await db.query(
    `insert into effects (id, operation, scope, key, target, fingerprint, downstream)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [
      effect,
      headers[OPERATION_HEADER],
      headers[SCOPE_HEADER],
      headers["idempotency-key"] ?? headers[OPERATION_HEADER],
      `${method} ${routeOptions.url}`,
      headers[FINGERPRINT_HEADER],
      downstream,
    ],
  );
}

/** Comes to nothing in the way of the deed, by Postgres' own refusal where there is one. */
async function fail(deed: Deed, tx: PoolClient, random: Random): Promise<void> {
  if (deed === "deadlock") return deadlock(tx, random);
  if (deed === "serialize") {
    await tx.query("do $$ begin raise exception 'a conflict' using errcode = '40001'; end $$");
  } else if (deed === "swallow") {
    await tx.query("select 1 / 0").catch(() => undefined);
  } else {
    throw new HandlerError("the handler broke after its write", 500);
  }
}

// Two rows of a few, in the order that chance gives: enough of these at once, and Postgres ends one of two that wait for each other.
async function deadlock(tx: PoolClient, random: Random): Promise<void> {
  const first = random.below(3);
  for (const id of [first, (first + 1) % 3]) {
    // oxlint-disable-next-line no-await-in-loop -- the order is the point
    await tx.query("update hot_rows set touched = touched + 1 where id = $1", [id]);
    // oxlint-disable-next-line no-await-in-loop -- between the two, another may take the second row
    await sleep(5);
  }
}
