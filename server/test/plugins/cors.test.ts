import cors from "@fastify/cors";
import { EXPOSED_HEADERS } from "@oncekey/shared";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, stored, withNeighbour } from "./with-plugin.ts";
import type { Neighbourhood, Place } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const SHOP = "https://shop.example";
const ADMIN = "https://admin.example";

function withCors(
  place: Place,
  use: (neighbourhood: Neighbourhood) => Promise<void>,
): Promise<void> {
  return withNeighbour(
    place,
    {
      options: { pool, global: true },
      neighbour: (app) =>
        app.register(cors, {
          origin: [SHOP, ADMIN],
          credentials: true,
          exposedHeaders: [...EXPOSED_HEADERS],
        }),
      routes: (app) =>
        app.post("/do", async () => ({
          at: process.hrtime.bigint().toString(),
        })),
    },
    use,
  );
}

describe.each(PLACES)("@fastify/cors %s", (place) => {
  it("lets a replay be read by the page that asked for it, not by the one that asked first", async () => {
    await withCors(place, async ({ post }) => {
      const key = crypto.randomUUID();
      const answers = [
        await post("/do", { key, headers: { origin: SHOP } }),
        await post("/do", { key, headers: { origin: ADMIN } }),
        await post("/do", { key, headers: { origin: "https://evil.example" } }),
      ];
      expect(answers.map(({ text }) => text)).toEqual(Array(3).fill(answers[0]?.text));
      expect(answers.map(({ headers }) => headers.get("access-control-allow-origin"))).toEqual([
        SHOP,
        ADMIN,
        null,
      ]);
      expect(answers.map(({ headers }) => headers.get("idempotent-replayed"))).toEqual([
        null,
        "true",
        "true",
      ]);
      expect((await stored(pool, key))?.headers).toEqual(["content-type"]);
    });
  });

  it("shows the page every header of ours, on answers, replays and refusals alike", async () => {
    await withCors(place, async ({ post }) => {
      const key = crypto.randomUUID();
      const headers = { origin: SHOP };
      for (const [request, status] of [
        [{ key, headers }, 200],
        [{ key, headers }, 200],
        [{ headers }, 400],
      ] as const) {
        const answer = await post("/do", request);
        expect(answer.status).toBe(status);
        const exposed = answer.headers.get("access-control-expose-headers")?.split(", ");
        expect(exposed).toEqual(EXPOSED_HEADERS);
        const ours = [...answer.headers.keys()].filter((name) => /^idempot|^retry/.test(name));
        const readable = new Set(exposed?.map((name) => name.toLowerCase()));
        expect(ours.filter((name) => !readable.has(name))).toEqual([]);
      }
    });
  });

  it("answers the preflight for the key's header, which needs no key itself", async () => {
    await withCors(place, async ({ url }) => {
      const preflight = await fetch(`${url}/do`, {
        method: "OPTIONS",
        headers: {
          origin: SHOP,
          "access-control-request-method": "POST",
          "access-control-request-headers": "idempotency-key, content-type",
        },
      });
      expect(preflight.status).toBe(204);
      expect(preflight.headers.get("access-control-allow-headers")).toContain("idempotency-key");
    });
  });
});
