import compress from "@fastify/compress";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, stored, withNeighbour } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

// Above the size from which a body is worth compressing.
const LINES = Array.from({ length: 200 }, (_, line) => ({ line, text: "the same words again" }));
const BODY = JSON.stringify(LINES);

describe.each(PLACES)("@fastify/compress %s", (place) => {
  it.each([
    ["gzip", "identity"],
    ["identity", "gzip"],
    ["br", "gzip"],
    ["gzip", "gzip"],
  ])(
    "encodes each answer for its own reader: %s first, %s for the replay, and the body is stored as it is",
    async (first, second) => {
      await withNeighbour(
        place,
        {
          options: { pool },
          neighbour: (app) => app.register(compress),
          routes: (app) => app.post("/do", { config: { idempotency: true } }, async () => LINES),
        },
        async ({ post }) => {
          const key = crypto.randomUUID();
          for (const [encoding, replayed] of [
            [first, null],
            [second, "true"],
          ] as const) {
            const answer = await post("/do", { key, headers: { "accept-encoding": encoding } });
            expect(answer.headers.get("content-encoding")).toBe(
              encoding === "identity" ? null : encoding,
            );
            expect(answer.text).toBe(BODY);
            expect(answer.headers.get("content-type")).toBe("application/json; charset=utf-8");
            expect(answer.headers.get("idempotent-replayed")).toBe(replayed);
          }
          expect(await stored(pool, key)).toEqual({ headers: ["content-type"], body: BODY });
        },
      );
    },
  );
});
