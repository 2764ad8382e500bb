import formbody from "@fastify/formbody";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, withNeighbour } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

describe.each(PLACES)("@fastify/formbody %s", (place) => {
  it("has its fields compared like JSON: in any order the same request, with another value a mismatch", async () => {
    await withNeighbour(
      place,
      {
        options: { pool },
        neighbour: (app) => app.register(formbody),
        routes: (app) =>
          app.post("/do", { config: { idempotency: true } }, async ({ body }) => body),
      },
      async ({ url }) => {
        const key = crypto.randomUUID();
        const send = (fields: Record<string, string>): Promise<Response> =>
          fetch(`${url}/do`, {
            method: "POST",
            headers: { "idempotency-key": key },
            body: new URLSearchParams(fields),
          });
        const answers = [
          await send({ amount: "7", to: "ann" }),
          await send({ to: "ann", amount: "7" }),
          await send({ amount: "8", to: "ann" }),
        ];
        for (const answer of answers) {
          expect(await answer.json()).toEqual({ amount: "7", to: "ann" });
        }
        expect(answers.map(({ headers }) => headers.get("idempotent-replayed"))).toEqual([
          null,
          "true",
          "true",
        ]);
        expect(answers.map(({ headers }) => headers.get("idempotency-mismatch"))).toEqual([
          null,
          null,
          "true",
        ]);
      },
    );
  });
});
