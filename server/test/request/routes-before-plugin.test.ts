import { idempotency } from "@oncekey/server";
import type { IdempotencyOptions } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance, InjectOptions } from "fastify";
import { describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";

const database = withDatabase();

/** An application whose plugin is registered without being awaited, between routes that come before and after. */
async function withLatePlugin(
  options: Partial<IdempotencyOptions>,
  before: (app: FastifyInstance) => unknown,
  after: (app: FastifyInstance) => unknown,
  use: (app: FastifyInstance, logged: () => string) => Promise<void>,
): Promise<void> {
  const lines: string[] = [];
  const app = Fastify({ logger: { stream: { write: (line) => lines.push(line) } } });
  before(app);
  app.register(idempotency, { pool: database.pool(), scope: "single-tenant", ...options });
  after(app);
  try {
    await use(app, () => lines.join(""));
  } finally {
    await app.close();
  }
}

async function statuses(app: FastifyInstance, ...urls: string[]): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const url of urls) {
    const headers = { "idempotency-key": "k" };
    const request: InjectOptions = { method: "POST", url, headers };
    found[url] = (await app.inject(request)).statusCode;
  }
  return found;
}

describe("a route of the application itself that the plugin was not awaited before", () => {
  it("is refused where it asks for protection, and nothing runs", async () => {
    let runs = 0;
    const run = async (): Promise<string> => `run ${(runs += 1)}`;
    await withLatePlugin(
      {},
      (app) => app.post("/before", { config: { idempotency: true } }, run),
      (app) => {
        app.post("/after", { config: { idempotency: { required: true } } }, run);
        app.post("/plain", run);
      },
      async (app) => {
        expect(await statuses(app, "/before", "/after", "/plain")).toEqual({
          "/before": 500,
          "/after": 500,
          "/plain": 200,
        });
        expect(runs).toBe(1);
      },
    );
  });

  it("is refused under global too, but for those that are exempt, safe, or not there", async () => {
    await withLatePlugin(
      { global: true },
      (app) => {
        app.post("/before", async () => "run");
        app.get("/read", async () => "read");
        app.put("/put", async () => "put");
      },
      (app) => {
        app.post("/after", async () => "run");
        app.post("/exempt", { config: { idempotency: false } }, async () => "run");
      },
      async (app) => {
        expect(await statuses(app, "/before", "/after", "/exempt", "/nowhere")).toEqual({
          "/before": 500,
          "/after": 500,
          "/exempt": 200,
          "/nowhere": 404,
        });
        expect((await app.inject({ url: "/read" })).statusCode).toBe(200);
        expect((await app.inject({ method: "PUT", url: "/put" })).statusCode).toBe(200);
      },
    );
  });
});

describe("a route of a scope that is older than the plugin", () => {
  const older = (app: FastifyInstance): unknown =>
    app.register(async (child) => {
      child.post("/asks", { config: { idempotency: true } }, async () => "run");
      child.post("/plain", async () => "run");
      child.post("/exempt", { config: { idempotency: false } }, async () => "run");
      child.register(async (inner) => {
        inner.post("/inner", { config: { idempotency: true } }, async () => "run");
      });
    });
  const urls = ["/asks", "/plain", "/exempt", "/inner"];

  it("is refused where it asks for protection", async () => {
    await withLatePlugin(
      {},
      older,
      () => {},
      async (app) => {
        expect(await statuses(app, ...urls)).toEqual({
          "/asks": 500,
          "/plain": 200,
          "/exempt": 200,
          "/inner": 500,
        });
      },
    );
  });

  it("is refused under global, unless it is exempt", async () => {
    await withLatePlugin(
      { global: true },
      older,
      () => {},
      async (app) => {
        expect(await statuses(app, ...urls)).toEqual({
          "/asks": 500,
          "/plain": 500,
          "/exempt": 200,
          "/inner": 500,
        });
      },
    );
  });
});
