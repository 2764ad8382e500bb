import swagger from "@fastify/swagger";
import type { FastifyDynamicSwaggerOptions } from "@fastify/swagger";
import { EXPOSED_HEADERS, parseProblem, PROBLEMS } from "@oncekey/shared";
import { idempotency, openapiTransform } from "@oncekey/server";
import type { IdempotencyOptions } from "@oncekey/server";
import { Validator } from "@seriousme/openapi-schema-validator";
import Fastify from "fastify";
import type { FastifyInstance, FastifySchema } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly required?: boolean }[];
  readonly responses: Readonly<Record<string, Response>>;
}

interface Response {
  readonly description: string;
  readonly headers?: object;
  readonly content?: Readonly<
    Record<string, { readonly schema: Readonly<Record<string, unknown>> }>
  >;
}

interface Asked {
  readonly options?: Partial<IdempotencyOptions>;
  readonly swagger?: FastifyDynamicSwaggerOptions;
}

const openapi = { info: { title: "t", version: "1" } };
const problems = "application/problem+json";

/** The valid OpenAPI document of an application, by operation. */
async function documented(
  routes: (app: FastifyInstance) => unknown,
  { options, swagger: more }: Asked = {},
): Promise<Record<string, Operation>> {
  const app = Fastify();
  await app.register(swagger, { openapi, transform: openapiTransform, ...more });
  await app.register(idempotency, { pool, scope: "single-tenant", ...options });
  await routes(app);
  try {
    await app.ready();
    const document: unknown = structuredClone(app.swagger());
    const { paths } = document as { paths: Record<string, Record<string, Operation>> };
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => [`${method} ${path}`, operation]),
    );
    expect(
      await new Validator().validate(structuredClone(document) as Record<string, unknown>),
    ).toEqual({
      valid: true,
    });
    return Object.fromEntries(operations) as Record<string, Operation>;
  } finally {
    await app.close();
  }
}

function post(
  schema?: FastifySchema,
  config: object | boolean = true,
): (app: FastifyInstance) => void {
  return (app) => {
    const handler = async (): Promise<string> => "done";
    const more = schema === undefined ? {} : { schema };
    app.post("/do", { config: { idempotency: config }, ...more }, handler);
  };
}

function codes(response: Response | undefined): unknown {
  const { properties } = response?.content?.[problems]?.schema ?? {};
  return (properties as { code: { enum: string[] } } | undefined)?.code.enum;
}

describe("openapiTransform", () => {
  it("gives a protected route the key, the response headers and every problem that its options allow", async () => {
    const { "post /do": operation } = await documented(post());
    expect(operation?.parameters?.map(({ name, required }) => [name, required])).toEqual([
      ["Idempotency-Key", true],
      ["Idempotency-Only-If-Stored", false],
    ]);
    const { 200: done, ...refusals } = operation?.responses ?? {};
    const ours = EXPOSED_HEADERS.filter(
      (name) => name.startsWith("Idempotency") || name.startsWith("Idempotent"),
    );
    expect(Object.keys(done?.headers ?? {}).toSorted()).toEqual(ours.toSorted());
    const said = Object.entries(refusals).map(([status, response]) => [status, codes(response)]);
    expect(Object.fromEntries(said)).toEqual({
      400: ["idempotency_key_required", "idempotency_key_invalid"],
      404: ["idempotency_not_found"],
      409: ["idempotency_in_flight"],
      410: ["idempotency_response_not_stored"],
      503: ["idempotency_unavailable"],
    });
    const waiting = Object.entries(refusals).filter(
      ([, { headers }]) => headers !== undefined && "Retry-After" in headers,
    );
    expect(waiting.map(([status]) => status)).toEqual(["409", "503"]);
  });

  it("names every problem of the contract where the options allow every one", async () => {
    const lease = { onCrash: "fail" } as const;
    const options = { mismatch: "reject", maxKeyAgeMs: 60_000, strategy: "lease", lease } as const;
    const { "post /do": operation } = await documented(post(undefined, options));
    const named = Object.entries(operation?.responses ?? {}).flatMap(([status, response]) =>
      [codes(response) ?? []].flat().map((code) => [code, Number(status)]),
    );
    const contract = Object.entries(PROBLEMS).map(([code, { status }]) => [code, status]);
    expect(Object.fromEntries(named)).toEqual(Object.fromEntries(contract));
  });

  it("leaves a route alone that is not protected, and one that is hidden hidden", async () => {
    const operations = await documented(
      (app) => {
        const handler = async (): Promise<string> => "done";
        app.get("/read", handler);
        app.post("/exempt", { config: { idempotency: false } }, handler);
        app.post("/covered", handler);
        app.post("/hidden", { schema: { hide: true } }, handler);
      },
      { options: { global: true } },
    );
    expect(Object.keys(operations)).toEqual(["get /read", "post /exempt", "post /covered"]);
    const plain = { responses: { 200: { description: "Default Response" } } };
    expect([operations["get /read"], operations["post /exempt"]]).toEqual([plain, plain]);
    expect(operations["post /covered"]?.responses).toHaveProperty("409");
  });

  it("keeps the route's own headers, responses of the same status, and responses of a range", async () => {
    const failure = { type: "object", properties: { reason: { type: "string" } } };
    const schema = {
      headers: {
        type: "object",
        required: ["x-shop"],
        properties: { "x-shop": { type: "string" }, "idempotency-key": { type: "string" } },
      },
      response: {
        201: { type: "object", headers: { location: { type: "string" } }, properties: {} },
        409: { description: "Sold out", ...failure },
        410: {
          description: "Withdrawn",
          content: {
            [problems]: { schema: failure },
            "text/plain": { schema: { type: "string" } },
          },
        },
        "5xx": failure,
      },
    };
    const { "post /do": operation } = await documented(post(schema, { required: false }));
    expect(operation?.parameters?.map(({ name, required }) => [name, required])).toEqual([
      ["x-shop", true],
      ["idempotency-key", false],
      ["Idempotency-Only-If-Stored", false],
    ]);
    const { 201: made, 409: sold, 410: gone, 503: down, ...more } = operation?.responses ?? {};
    expect(Object.keys(more)).toEqual(["400", "404", "5XX"]);
    expect(made?.headers).toMatchObject({ location: { schema: { type: "string" } } });
    expect(made?.headers).toHaveProperty("Idempotent-Replayed");
    expect(sold?.description).toBe("Sold out, or: The first request with this key still runs");
    expect(sold?.content?.["application/json"]?.schema).toMatchObject(failure);
    expect(codes(sold)).toEqual(["idempotency_in_flight"]);
    expect(Object.keys(gone?.content ?? {}).toSorted()).toEqual([problems, "text/plain"]);
    expect(gone?.content?.[problems]?.schema["anyOf"]).toHaveLength(2);
    expect(down?.content?.["application/json"]?.schema).toMatchObject(failure);
    expect(codes(down)).toEqual(["idempotency_unavailable"]);
  });

  it("takes shared schemas, and comes after a transform of the application", async () => {
    const { "post /v2/do": operation } = await documented(
      (app) => {
        app.addSchema({
          $id: "Shop",
          type: "object",
          properties: { "x-shop": { type: "string" } },
        });
        app.addSchema({ $id: "Failure", type: "object", properties: { why: { type: "string" } } });
        post({ headers: { $ref: "Shop#" }, response: { 409: { $ref: "Failure#" } } })(app);
      },
      {
        swagger: {
          transform: (route) =>
            openapiTransform({
              ...route,
              schema: { ...route.schema, tags: ["v2"] },
              url: `/v2${route.url}`,
            }),
        },
      },
    );
    expect(operation).toMatchObject({ tags: ["v2"] });
    expect(operation?.parameters?.map(({ name }) => name)).toContain("x-shop");
    expect(operation?.parameters?.map(({ name }) => name)).toContain("Idempotency-Key");
    expect(operation?.responses["409"]?.content?.["application/json"]?.schema).toHaveProperty(
      "$ref",
    );
  });

  it("describes a refusal as it is sent", async () => {
    const { "post /do": operation } = await documented(post());
    const app = Fastify();
    await app.register(idempotency, { pool, scope: "single-tenant" });
    post()(app);
    const answer = await app.inject({ method: "POST", url: "/do" });
    await app.close();
    const { required, properties } = operation?.responses["400"]?.content?.[problems]?.schema ?? {};
    expect(answer.headers["content-type"]).toBe(problems);
    expect(Object.keys(answer.json<object>())).toEqual(required);
    expect(Object.keys(properties as object)).toEqual(required);
    expect(codes(operation?.responses["400"])).toContain(parseProblem(answer.json())?.code);
  });

  it("refuses a Swagger 2 document, which cannot describe a problem", async () => {
    const app = Fastify();
    await app.register(swagger, { swagger: openapi, transform: openapiTransform });
    post(undefined, false)(app);
    await app.ready();
    expect(() => app.swagger()).toThrow(
      "openapiTransform needs option openapi of @fastify/swagger, not swagger",
    );
    await app.close();
  });
});
