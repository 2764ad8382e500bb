/** Decisions about crashed leases: by the route's `onCrash`, and by an operator. */
import { randomUUID } from "node:crypto";
import type { CrashResponse, OnCrash } from "@oncekey/server";
import type { FastifyInstance } from "fastify";
import type { Pool } from "pg";
import type { Answer } from "../checker/case.ts";
import { OPERATED_ROUTE } from "../protocol/routes.ts";

/** Share of the questions to the outside world that fail. */
const FAILURE_RATE = 0.2;

/** Asks the outside world whether the effect has happened, as a payment provider is asked by the key that it got. */
export function createOnCrash(outside: Pool): OnCrash {
  return async ({ deriveKey, scope }) => {
    if (Math.random() < FAILURE_RATE) throw new Error("the outside world did not answer");
    const { rows } = await outside.query<{ id: string }>(
      "select id from effects where downstream = $1 order by number",
      [deriveKey("charge")],
    );
    const [effect] = rows;
    return effect === undefined ? "fail" : answerOf(effect.id, scope);
  };
}

/** Adds the route by which an operator decides about every crashed lease of `OPERATED_ROUTE`: resolves some, forgets the others. */
export function addOperator(app: FastifyInstance, outside: Pool): void {
  app.post("/operate", async () => {
    const { records } = await app.idempotency.list({
      state: "crashed",
      route: `POST ${OPERATED_ROUTE.path}`,
    });
    const decided = await Promise.allSettled(
      records.map(async ({ key, scope, target }, index) => {
        const address = { key, scope, target };
        const decision = { by: "the rig's operator", reason: "its client never came back" };
        if (index % 3 === 0) return app.idempotency.forget(address, decision);
        const { rows } = await outside.query<{ id: string }>(
          "select id from effects where scope = $1 and key = $2",
          [scope, key],
        );
        const response = answerOf(rows[0]?.id ?? null, scope);
        return app.idempotency.resolve(address, response, decision);
      }),
    );
    return { decided: decided.filter(({ status }) => status === "fulfilled").length };
  });
}

function answerOf(effect: string | null, scope: string): CrashResponse {
  const body: Answer = { answer: randomUUID(), effect, scope, isDecided: true };
  return { status: effect === null ? 402 : 201, headers: { location: `/effects/${effect}` }, body };
}
