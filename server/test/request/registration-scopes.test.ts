import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const protect = { config: { idempotency: true } };
const PATH = { method: "POST", headers: { "idempotency-key": "k" } } as const;

async function withApp(use: (app: FastifyInstance) => Promise<void>): Promise<void> {
  const app = Fastify();
  try {
    await use(app);
  } finally {
    await app.close();
  }
}

const options = () => ({ pool, scope: "single-tenant", sweep: false }) as const;

describe("a route with several methods", () => {
  it.each([true, false])("starts if GET is one of them, exposeHeadRoutes %s", async (expose) => {
    const app = Fastify({ exposeHeadRoutes: expose });
    await app.register(idempotency, options());
    let runs = 0;
    const keyed = { ...PATH, headers: { "idempotency-key": `expose-${expose}` } };
    app.route({
      method: ["GET", "POST"],
      url: "/both",
      ...protect,
      handler: async () => (runs += 1),
    });
    try {
      const statuses = [
        await app.inject({ method: "POST", url: "/both" }),
        await app.inject({ ...keyed, url: "/both" }),
        await app.inject({ ...keyed, url: "/both" }),
        await app.inject({ url: "/both" }),
        await app.inject({ method: "HEAD", url: "/both" }),
      ].map(({ statusCode }) => statusCode);
      expect(statuses).toEqual([400, 200, 200, 200, expose ? 200 : 404]);
      expect(runs).toBe(expose ? 3 : 2);
    } finally {
      await app.close();
    }
  });
});

describe("a registration inside of a scope", () => {
  it("refuses a protected route outside of the scope as it is added", async () => {
    await withApp(async (app) => {
      await app.register(async (scope) => {
        await scope.register(idempotency, options());
        scope.post("/inside", protect, async () => "ran");
      });
      expect(() => app.post("/outside", protect, async () => "ran")).toThrow(
        "POST /outside: asks for idempotency, but the plugin is registered in another scope",
      );
      const sibling = app.register(async (scope) => {
        scope.post("/sibling", protect, async () => "ran");
      });
      await expect(sibling).rejects.toThrow("POST /sibling: asks for idempotency");
      app.post("/plain", async () => "ran");
    });
  });

  it("refuses requests to a protected route outside that was added before", async () => {
    await withApp(async (app) => {
      let runs = 0;
      app.post("/outside", protect, async () => (runs += 1));
      await app.register(async (scope) => {
        await scope.register(idempotency, options());
        scope.post("/inside", protect, async () => "ran");
      });
      const answer = await app.inject({ ...PATH, url: "/outside" });
      expect([answer.statusCode, runs]).toEqual([500, 0]);
      expect(answer.json().message).toContain("registered in another scope");
      expect((await app.inject({ ...PATH, url: "/inside" })).body).toBe("ran");
    });
  });
});

describe("two registrations in one tree", () => {
  it("each protect the routes of their own scope, and a nested one replaces the outer", async () => {
    await withApp(async (app) => {
      await app.register(idempotency, { ...options(), global: true, problemBaseUri: "urn:root:" });
      app.post("/root", async (request) => request.idempotency.key);
      for (const name of ["one", "two"]) {
        await app.register(async (scope) => {
          await scope.register(idempotency, { ...options(), problemBaseUri: `urn:${name}:` });
          scope.post(`/${name}`, protect, async (request) => request.idempotency.key);
          scope.post(`/${name}/plain`, async () => "unprotected");
          expect(scope.idempotency).not.toBe(app.idempotency);
        });
      }
      for (const name of ["root", "one", "two"]) {
        const refused = await app.inject({ method: "POST", url: `/${name}` });
        expect(refused.json().type).toBe(`urn:${name}:idempotency_key_required`);
        const [first, again] = [
          await app.inject({ ...PATH, url: `/${name}` }),
          await app.inject({ ...PATH, url: `/${name}` }),
        ];
        expect([first.body, again.body]).toEqual(["k", "k"]);
        expect(again.headers["idempotent-replayed"]).toBe("true");
      }
      const plain = await app.inject({ method: "POST", url: "/one/plain" });
      expect([plain.statusCode, plain.body], "global is the outer registration's").toEqual([
        200,
        "unprotected",
      ]);
    });
  });

  it("in sibling scopes do not meet", async () => {
    await withApp(async (app) => {
      for (const name of ["one", "two"]) {
        await app.register(async (scope) => {
          await scope.register(idempotency, options());
          scope.post(`/${name}`, protect, async (request) => request.idempotency.key);
        });
      }
      for (const url of ["/one", "/two"]) {
        expect((await app.inject({ ...PATH, url })).body).toBe("k");
        const again = await app.inject({ ...PATH, url });
        expect(again.headers["idempotent-replayed"]).toBe("true");
      }
    });
  });

  it("on one instance are refused with what to do", async () => {
    await withApp(async (app) => {
      await app.register(idempotency, options());
      await expect(app.register(idempotency, options())).rejects.toThrow(
        "idempotency is already registered on this Fastify instance",
      );
    });
  });
});
