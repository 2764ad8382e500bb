import formbody from "@fastify/formbody";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";
import type { Answer, ShopRequest } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const protect = { config: { idempotency: true } };

/** Returns whether the handler of a request ran, or which response the request got. */
function outcomeOf({ status, headers }: Answer): string {
  if (status !== 200) return String(status);
  if (headers.get("idempotent-replayed") === null) return "ran";
  return headers.get("idempotency-mismatch") === null ? "replay" : "mismatch";
}

async function outcomes(
  routes: (app: FastifyInstance) => unknown,
  requests: readonly (ShopRequest & { readonly path?: string })[],
): Promise<string[]> {
  const key = crypto.randomUUID();
  const found: string[] = [];
  await withShop({ pool }, routes, async ({ post }) => {
    for (const { path = "/pay", ...request } of requests)
      found.push(outcomeOf(await post(path, { key, ...request })));
  });
  return found;
}

const twice = [{ json: { amount: 1 } }, { json: { amount: 1 } }, { json: { amount: 2 } }];
const SAME = ["ran", "replay", "mismatch"];

function stamp(body: unknown): void {
  Reflect.set(body as object, "stampedAt", Math.random());
}

describe("an honest retry is a replay, whatever changes the body on its way", () => {
  it.each<[string, (app: FastifyInstance) => void]>([
    [
      "a preValidation hook",
      (app) =>
        void app.addHook("preValidation", async ({ body }) => {
          stamp(body);
        }),
    ],
    [
      "a preHandler hook",
      (app) =>
        void app.addHook("preHandler", async (request) => {
          request.body = { ...(request.body as object), at: Math.random() };
        }),
    ],
  ])("%s", async (_name, addHook) => {
    const routes = (app: FastifyInstance): void => {
      addHook(app);
      app.post("/pay", protect, async () => "paid");
    };
    expect(await outcomes(routes, twice)).toEqual(SAME);
  });

  it("a validator's random default", async () => {
    const routes = (app: FastifyInstance) =>
      app.post(
        "/pay",
        {
          ...protect,
          schema: { body: {} },
          validatorCompiler: () => (body: object) => ({
            value: { nonce: Math.random(), ...body },
          }),
        },
        async () => "paid",
      );
    expect(await outcomes(routes, twice)).toEqual(SAME);
  });

  it("a coercion into what has no JSON", async () => {
    const routes = (app: FastifyInstance) =>
      app.post(
        "/pay",
        {
          ...protect,
          schema: { body: {} },
          validatorCompiler: () => (body: { amount: number }) => ({
            value: { amount: BigInt(body.amount), tags: new Set(["a"]) },
          }),
        },
        async () => "paid",
      );
    expect(await outcomes(routes, twice)).toEqual(SAME);
  });
});

describe("parameters that validators change", () => {
  it("do not make two ids one target, nor one id two", async () => {
    const routes = (app: FastifyInstance) =>
      app.post(
        "/carts/:id",
        {
          ...protect,
          schema: { params: {} },
          validatorCompiler: () => (params: { id: string }) => ({
            value: { id: Number(params.id), seen: Math.random() },
          }),
        },
        async () => "paid",
      );
    expect(
      await outcomes(routes, [
        { path: "/carts/42" },
        { path: "/carts/%34%32" },
        { path: "/carts/43" },
      ]),
    ).toEqual(["ran", "replay", "ran"]);
  });
});

describe("a body of a kind that Fastify takes is never refused for its content", () => {
  it.each<[string, string, string]>([
    ["a field called pipe", "application/json", '{"pipe":"steel","then":1}'],
    ["a form's field called pipe", "application/x-www-form-urlencoded", "pipe=steel"],
    ["null", "application/json", "null"],
    ["20,000 nested lists", "application/json", `${"[".repeat(20_000)}${"]".repeat(20_000)}`],
    ["a lone surrogate", "application/json", '"\\ud800"'],
    ["a number too large to hold", "application/json", "1e999"],
    ["text", "text/plain", "pay"],
    ["a BigInt", "application/x-bigint", "42"],
    ["a Map", "application/x-map", "42"],
    ["a circle", "application/x-circle", "42"],
  ])("%s", async (_name, type, body) => {
    const routes = async (app: FastifyInstance): Promise<void> => {
      await app.register(formbody);
      const parsers: Record<string, (text: string) => unknown> = {
        "application/x-bigint": BigInt,
        "application/x-map": (text) => new Map([["amount", { text }]]),
        "application/x-circle": (text) => {
          const circle: Record<string, unknown> = { text };
          circle["self"] = circle;
          return circle;
        },
      };
      for (const [name, parse] of Object.entries(parsers)) {
        app.addContentTypeParser(
          name,
          { parseAs: "string" },
          async (_request: unknown, text: string) => parse(text),
        );
      }
      app.post("/pay", protect, async () => "paid");
    };
    const key = crypto.randomUUID();
    await withShop({ pool }, routes, async ({ url }) => {
      const headers = { "content-type": type, "idempotency-key": key };
      const send = () => fetch(`${url}/pay`, { method: "POST", headers, body });
      expect((await send()).status).toBe(200);
      const again = await send();
      expect(again.headers.get("idempotent-replayed")).toBe("true");
      expect(again.headers.get("idempotency-mismatch")).toBeNull();
    });
  });
});

describe("one key under two addresses", () => {
  const requests = (...paths: string[]) => paths.map((path) => ({ path }));

  it("has one effect if both spell one target", async () => {
    const routes = (app: FastifyInstance) => app.post("/carts/:id", protect, async () => "paid");
    expect(
      await outcomes(routes, requests("/carts/42?a=1&b=2", "/carts/%34%32?b=2&a=1", "/carts/43")),
    ).toEqual(["ran", "replay", "ran"]);
  });

  it("has one effect with and without the slash that Fastify adds to a prefix", async () => {
    const routes = (app: FastifyInstance) =>
      app.register(async (scope) => scope.post("/", protect, async () => "paid"), {
        prefix: "/orders",
      });
    expect(await outcomes(routes, requests("/orders", "/orders/"))).toEqual(["ran", "replay"]);
  });

  it("has two effects if constraints lead to two handlers", async () => {
    const routes = (app: FastifyInstance): void => {
      for (const version of ["1.0.0", "2.0.0"])
        app.post("/pay", { ...protect, constraints: { version } }, async () => version);
    };
    const versions = ["1.0.0", "2.0.0", "1.x"];
    expect(
      await outcomes(
        routes,
        versions.map((version) => ({ headers: { "accept-version": version } })),
      ),
    ).toEqual(["ran", "ran", "replay"]);
  });

  it("is a mismatch if only the query behind a second question mark differs", async () => {
    const routes = (app: FastifyInstance) => app.post("/pay", protect, async () => "paid");
    const of = (order: number) => `/pay?return=https://shop.example/done?order=${order}`;
    expect(await outcomes(routes, requests(of(1), of(1), of(2)))).toEqual(SAME);
  });
});
