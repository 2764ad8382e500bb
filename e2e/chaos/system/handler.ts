/** The handler of the rig's shop: one effect, and an answer that names it. */
import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { Pool, PoolClient } from "pg";
import type { Answer } from "../checker/case.ts";
import { reach } from "./freeze.ts";
import { passGate } from "./gate.ts";
import { addEffect, scopeOf } from "../../shop/effects.ts";
import { CHANCE_HEADER } from "../protocol/order.ts";
import type { Deed, Order } from "../protocol/order.ts";
import { createRandom } from "../protocol/random.ts";
import type { Random } from "../protocol/random.ts";
import type { Route } from "../protocol/routes.ts";

export interface Parts {
  readonly route: Route;
  /** The lent pool behind `transactional`, for repositories that know nothing of the request. */
  readonly repositories: Pool | undefined;
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

// Share of failing attempts at a deed that fails at first.
const FAILURE_RATE = 0.6;
const FAILING: readonly Deed[] = [
  "busy",
  "break",
  "deadlock",
  "serialize",
  "swallow",
  "hang",
  "stall",
];

export function createHandler(parts: Parts): Handler {
  const handle = parts.route.policy.strategy === "lease" ? handleOutside : handleInside;
  return async (request, reply) => {
    reach("S2");
    const { deed } = request.body;
    const random = createRandom(Number(request.headers[CHANCE_HEADER]));
    const comesToNothing = FAILING.includes(deed) && random.chance(FAILURE_RATE);
    if (deed === "decline") return reply.code(402).send({ ...answerTo(request), effect: null });
    await passGate();
    return handle(parts, { request, reply, random, comesToNothing });
  };
}

interface Run {
  readonly request: FastifyRequest<{ Body: Order }>;
  readonly reply: FastifyReply;
  readonly random: Random;
  readonly comesToNothing: boolean;
}

/** In one commit with the response. */
async function handleInside({ repositories }: Parts, run: Run): Promise<FastifyReply> {
  const { request, reply, random, comesToNothing } = run;
  const { deed, workMs } = request.body;
  const { tx, rollback } = request.idempotency;
  const answer = answerTo(request);
  // Half of the time by a repository that has only the pool.
  const db = random.chance(0.5) ? (repositories ?? tx) : tx;
  if (comesToNothing && deed === "busy") return busy(reply);
  await addEffect(db, request, answer.effect);
  reach("S3");
  if (workMs > 0) await sleep(workMs);
  if (deed === "refuse") throw refusal(answer);
  if (deed === "mask") {
    rollback();
    return mask(reply, answer);
  }
  if (comesToNothing && deed === "stall") return stall(reply, answer);
  if (comesToNothing) await fail(deed, tx, random);
  return done(reply, answer);
}

/** By a call to the outside, which is remembered as a step. */
async function handleOutside({ outside }: Parts, run: Run): Promise<FastifyReply> {
  const { request, reply, comesToNothing } = run;
  const { deed, workMs } = request.body;
  const { step, commit, rollback, deriveKey } = request.idempotency;
  // An outside effect cannot be rolled back, so the refusal comes before it.
  if (deed === "refuse") throw refusal(answerTo(request));
  if (deed === "mask") {
    const answer = answerTo(request);
    await commit((tx) => addEffect(tx, request, answer.effect));
    rollback();
    return mask(reply, answer);
  }
  const own = answerTo(request);
  // Only the effect is the step's: a late owner and its successor have different answers.
  const effect = await step("charge", async () => {
    await addEffect(outside, request, own.effect, deriveKey("charge"));
    return own.effect;
  });
  const answer = { ...own, effect };
  reach("S3");
  if (workMs > 0) await sleep(workMs);
  // The step is kept: the next attempt must not charge again.
  if (comesToNothing && deed === "busy") return busy(reply);
  if (comesToNothing && deed === "stall") return stall(reply, answer);
  if (comesToNothing) throw new HandlerError("the handler broke after its call", 502);
  return done(reply, answer);
}

function done(reply: FastifyReply, answer: Answer): FastifyReply {
  return reply.code(201).header("location", `/effects/${answer.effect}`).send(answer);
}

function busy(reply: FastifyReply): FastifyReply {
  return reply.code(429).send({ error: "Try again later" });
}

/** As a GraphQL server answers for a resolver that threw. */
function mask(reply: FastifyReply, answer: Answer): FastifyReply {
  return reply.code(200).send({ ...answer, errors: [{ message: "the resolver failed" }] });
}

/** Answers with a stream that stalls after its first half. */
function stall(reply: FastifyReply, answer: Answer): FastifyReply {
  const text = JSON.stringify(answer);
  const stream = new Readable({ read() {} });
  stream.push(text.slice(0, text.length / 2));
  return reply.code(201).type("application/json").send(stream);
}

// It names its scope, so that it shows where it comes from wherever it turns up.
function refusal({ scope }: Answer): HandlerError {
  return new HandlerError(`there is no such thing (scope ${scope})`, 404);
}

// Random, not from the seed: the ids distinguish all runs of the handler, even those of one
// attempt.
function answerTo(request: FastifyRequest): Answer {
  return { answer: randomUUID(), effect: randomUUID(), scope: scopeOf(request) };
}

/** Fails in the way of the deed, by a real error of Postgres if there is one. */
async function fail(deed: Deed, tx: PoolClient, random: Random): Promise<void> {
  if (deed === "deadlock") return deadlock(tx, random);
  if (deed === "serialize") {
    await tx.query("do $$ begin raise exception 'a conflict' using errcode = '40001'; end $$");
  } else if (deed === "swallow") {
    await tx.query("select 1 / 0").catch(() => undefined);
  } else if (deed === "hang") {
    await tx.query("select pg_sleep(3600)");
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
