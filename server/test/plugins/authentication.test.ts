import cookie from "@fastify/cookie";
import jwt from "@fastify/jwt";
import session from "@fastify/session";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, withNeighbour } from "./with-plugin.ts";

declare module "@fastify/jwt" {
  interface FastifyJWT {
    payload: { sub: string };
    user: { sub: string };
  }
}
declare module "fastify" {
  interface Session {
    user?: string;
  }
}

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

describe.each(PLACES)("@fastify/jwt %s", (place) => {
  it("verifies every caller again before a replay, and gives none the answer of another", async () => {
    await withNeighbour(
      place,
      {
        options: { pool, scope: (request) => request.user.sub },
        neighbour: (app) => app.register(jwt, { secret: "of a test" }),
        routes: (app) => {
          app.post("/sign-in/:user", async (request) =>
            app.jwt.sign({ sub: (request.params as { user: string }).user }),
          );
          app.post(
            "/do",
            { config: { idempotency: true }, preHandler: (request) => request.jwtVerify() },
            async (request) => ({ for: request.user.sub }),
          );
        },
      },
      async ({ post }) => {
        const [ann, bob] = [(await post("/sign-in/ann")).text, (await post("/sign-in/bob")).text];
        const key = crypto.randomUUID();
        const as = (bearer: string) =>
          post("/do", { key, headers: { authorization: `Bearer ${bearer}` } });
        const answers = [
          await as(ann),
          await as(ann),
          await as(bob),
          await as(`${ann}x`),
          await post("/do", { key }),
        ];
        expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 401, 401]);
        expect(answers.map(({ headers }) => headers.get("idempotent-replayed"))).toEqual([
          null,
          "true",
          null,
          null,
          null,
        ]);
        expect(answers.slice(0, 3).map((answer) => answer.json()["for"])).toEqual([
          "ann",
          "ann",
          "bob",
        ]);
      },
    );
  });
});

describe.each(PLACES)("@fastify/session %s", (place) => {
  it("gives a replay to a live session only, and stores nothing of it", async () => {
    await withNeighbour(
      place,
      {
        options: { pool, scope: (request) => request.session.user ?? "" },
        neighbour: async (app) => {
          await app.register(cookie);
          await app.register(session, {
            secret: "a secret that is at least 32 characters long",
            cookie: { secure: false },
          });
        },
        routes: addSessionRoutes,
      },
      async ({ post }) => {
        const signedIn = await post("/sign-in");
        const headers = { cookie: signedIn.headers.getSetCookie()[0]?.split(";")[0] ?? "" };
        const key = crypto.randomUUID();
        const [first, again] = [
          await post("/do", { key, headers }),
          await post("/do", { key, headers }),
        ];
        expect([first.text, again.text]).toEqual(["visit 1", "visit 1"]);
        expect(again.headers.get("idempotent-replayed")).toBe("true");
        await post("/sign-out", { headers });
        expect((await post("/do", { key, headers })).status).toBe(401);
      },
    );
  });
});

function addSessionRoutes(app: FastifyInstance): void {
  let visits = 0;
  app.post("/sign-in", async (request) => {
    request.session.user = "ann";
    return "welcome";
  });
  app.post("/sign-out", async (request) => {
    await request.session.destroy();
    return "bye";
  });
  const isSignedIn = async (request: FastifyRequest, reply: FastifyReply): Promise<unknown> =>
    request.session.user === undefined ? reply.code(401).send("sign in first") : undefined;
  app.post("/do", { config: { idempotency: true }, preHandler: isSignedIn }, async () => {
    visits += 1;
    return `visit ${visits}`;
  });
}
