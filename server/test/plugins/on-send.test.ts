import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import fp from "fastify-plugin";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import type { Answer } from "../support/shop.ts";
import { PLACES, withNeighbour } from "./with-plugin.ts";
import type { Add, Place } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

type OnSend = (request: FastifyRequest, reply: FastifyReply, payload: unknown) => Promise<unknown>;

/** Every hook that applications are seen to have: what it makes of `{"id":1}`. */
const HOOKS: readonly (readonly [name: string, hook: OnSend, body: string])[] = [
  [
    "that takes any payload as text",
    async (_request, _reply, payload) => `{"data":${String(payload)}}`,
    '{"data":{"id":1}}',
  ],
  [
    "that parses JSON",
    async (_request, _reply, payload) =>
      JSON.stringify({ ...JSON.parse(String(payload)), version: 2 }),
    '{"id":1,"version":2}',
  ],
  [
    "that rewrites text only",
    async (_request, _reply, payload) =>
      typeof payload === "string" ? `{"data":${payload}}` : payload,
    '{"data":{"id":1}}',
  ],
  [
    "that answers with a stream",
    async (_request, _reply, payload) => Readable.from(["[", String(payload), "]"]),
    '[{"id":1}]',
  ],
  [
    "that gives it another type",
    async (_request, reply, payload) => {
      reply.type("application/xml");
      return `<id>${JSON.parse(String(payload)).id}</id>`;
    },
    "<id>1</id>",
  ],
];

async function twice(place: Place, neighbour: Add, routes: Add): Promise<[Answer, Answer]> {
  const answers: Answer[] = [];
  await withNeighbour(place, { options: { pool }, neighbour, routes }, async ({ post }) => {
    const key = crypto.randomUUID();
    answers.push(await post("/do", { key }), await post("/do", { key }));
  });
  const [first, again] = answers;
  if (first === undefined || again === undefined) throw new Error("two answers were expected");
  expect(again.headers.get("idempotent-replayed")).toBe("true");
  expect(again.headers.get("content-type")).toBe(first.headers.get("content-type"));
  return [first, again];
}

const addRoute: Add = (app) =>
  app.post("/do", { config: { idempotency: true } }, async () => ({ id: 1 }));

/** As a plugin that shares its hooks with the application would. */
function shared(add: (app: FastifyInstance) => void): Add {
  return (app) => app.register(fp(async (child) => add(child)));
}

const CASES = PLACES.flatMap((place) =>
  HOOKS.map(([name, hook, body]) => ({ place, name, hook, body })),
);

describe("an onSend hook", () => {
  it.each(CASES)(
    "of the application $name is applied once, on the first answer and on a replay: $place",
    async ({ place, hook, body }) => {
      const neighbour = shared((app) => void app.addHook("onSend", hook));
      const [first, again] = await twice(place, neighbour, addRoute);
      expect([first.text, again.text]).toEqual([body, body]);
    },
  );

  it.each(HOOKS)(
    "of the route %s is applied once, on the first answer and on a replay",
    async (_name, hook, body) => {
      const [first, again] = await twice(
        "before ours",
        () => {},
        (app) =>
          app.post("/do", { config: { idempotency: true }, onSend: hook }, async () => ({ id: 1 })),
      );
      expect([first.text, again.text]).toEqual([body, body]);
    },
  );

  it.each(PLACES)("that a plugin adds to every route is applied once: %s", async (place) => {
    const hook: OnSend = async (_request, _reply, payload) => `{"data":${String(payload)}}`;
    const neighbour = shared(
      (app) =>
        void app.addHook("onRoute", (route) => {
          route.onSend = [...[route.onSend ?? []].flat(), hook];
        }),
    );
    const [first, again] = await twice(place, neighbour, addRoute);
    expect([first.text, again.text]).toEqual(['{"data":{"id":1}}', '{"data":{"id":1}}']);
  });
});

describe.each(PLACES)("a preSerialization hook %s", (place) => {
  it("is part of the answer that is stored, and not applied to a replay", async () => {
    const neighbour = shared(
      (app) =>
        void app.addHook("preSerialization", async (_request, _reply, payload) => ({
          data: payload,
        })),
    );
    const [first, again] = await twice(place, neighbour, addRoute);
    expect([first.text, again.text]).toEqual(['{"data":{"id":1}}', '{"data":{"id":1}}']);
  });
});

describe.each(PLACES)("hooks on both sides of ours, with theirs %s", (place) => {
  it("are each applied once", async () => {
    const add = (name: string): Add =>
      shared(
        (app) =>
          void app.addHook(
            "onSend",
            async (_request, _reply, payload) => `{"${name}":${String(payload)}}`,
          ),
      );
    const [first, again] = await twice(place, add("theirs"), async (app) => {
      await add("later")(app);
      await addRoute(app);
    });
    const body = '{"later":{"theirs":{"id":1}}}';
    expect([first.text, again.text]).toEqual([body, body]);
  });
});

describe("a problem document", () => {
  it("passes the application's hooks as any other reply, with the problem's content type", async () => {
    const neighbour = shared(
      (app) =>
        void app.addHook("onSend", async (_request, reply, payload) =>
          reply.getHeader("content-type") === "application/problem+json"
            ? payload
            : `{"data":${String(payload)}}`,
        ),
    );
    await withNeighbour(
      "before ours",
      { options: { pool }, neighbour, routes: addRoute },
      async ({ post }) => {
        expect((await post("/do")).json()["code"]).toBe("idempotency_key_required");
      },
    );
  });
});
