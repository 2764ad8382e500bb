import type { FastifyRequest } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { resolveScope } from "../../src/ticket/scope.ts";
import { addPayments, countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

describe("scope and target", () => {
  const bySomebody = (request: { headers: Record<string, unknown> }) =>
    request.headers["x-user"] as string;

  it("keep the same key of two callers, two routes and two ids apart", async () => {
    await withShop(
      { pool, scope: bySomebody },
      (app) => {
        addPayments(app);
        app.post<{ Params: { id: string } }>(
          "/refunds/:id",
          { config: { idempotency: true } },
          async (request) => ({
            id: request.params.id,
            user: request.headers["x-user"],
          }),
        );
      },
      async ({ post }) => {
        const as = (user: string) => ({
          key: "shared",
          json: { amount: 1 },
          headers: { "x-user": user },
        });
        const answers = [
          await post("/payments", as("alice")),
          await post("/payments", as("bob")),
          await post("/refunds/1", as("alice")),
          await post("/refunds/2", as("alice")),
          await post("/refunds/2", as("bob")),
        ];
        expect(answers.map(({ headers }) => headers.get("idempotent-replayed"))).toEqual(
          Array(5).fill(null),
        );
        expect(answers.slice(2).map((answer) => answer.json())).toEqual([
          { id: "1", user: "alice" },
          { id: "2", user: "alice" },
          { id: "2", user: "bob" },
        ]);
      },
    );
  });

  it.each<[string, unknown]>([
    ["undefined", undefined],
    ["empty", ""],
    ["a number", 7],
    ["a NUL", "\0"],
    ["513 bytes", "x".repeat(513)],
  ])("refuse the request where no usable scope is found: %s", async (_name, scope) => {
    await withShop(
      { pool, scope: () => scope as string },
      (app) => addPayments(app),
      async ({ post }) => {
        const before = await countPayments(pool);
        const answer = await post("/payments", { key: "nobody", json: { amount: 1 } });
        expect(answer.status).toBe(500);
        expect(answer.headers.get("content-type")).toBe("application/problem+json");
        expect(answer.json()).toMatchObject({
          code: "idempotency_scope_missing",
          status: 500,
          retryable: false,
        });
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });

  it.each<[string, unknown, string | undefined]>([
    ["512 bytes", "x".repeat(512), "x".repeat(512)],
    ["257 letters of two bytes", "ü".repeat(257), undefined],
    ["null", null, undefined],
    ["an object", {}, undefined],
    ["a thenable of any library", thenable("ada"), "ada"],
    ["a promise of no scope", Promise.resolve(7), undefined],
  ])("take or refuse what the option returns: %s", async (_name, returned, scope) => {
    const option = () => returned as string;
    expect(await resolveScope(option, {} as FastifyRequest)).toBe(scope);
  });

  it("may be asynchronous", async () => {
    const scope = async (request: { headers: Record<string, unknown> }) => bySomebody(request);
    await withShop({ pool, scope }, addPayments, async ({ post }) => {
      const pay = (user: string) =>
        post("/payments", { key: "async", json: { amount: 1 }, headers: { "x-user": user } });
      const answers = [await pay("alice"), await pay("bob"), await pay("alice")];
      expect(answers.map(({ headers }) => headers.get("idempotent-replayed"))).toEqual([
        null,
        null,
        "true",
      ]);
    });
  });

  it.each<[string, () => Promise<string>]>([
    ["throws", refuse],
    ["rejects", async () => refuse()],
  ])("refuse the request and log the reason if the option %s", async (_name, scope) => {
    const logged: string[] = [];
    await withShop(
      { pool, scope, logTo: (line) => logged.push(line) },
      addPayments,
      async ({ post }) => {
        const before = await countPayments(pool);
        const answer = await post("/payments", { key: "rejects", json: { amount: 1 } });
        expect(answer.status).toBe(500);
        expect(answer.headers.get("content-type")).toBe("application/problem+json");
        expect(answer.text).not.toContain("tenant");
        expect(logged.join("")).toContain("the tenant table is away");
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });

  it("pass on an error of the caller that the option throws", async () => {
    const scope = async () => {
      throw Object.assign(new Error("sign in first"), { statusCode: 401 });
    };
    await withShop({ pool, scope }, addPayments, async ({ post }) => {
      const answer = await post("/payments", { key: "401", json: { amount: 1 } });
      expect([answer.status, answer.json()["message"]]).toEqual([401, "sign in first"]);
    });
  });

  it("take a path that is longer than the column", async () => {
    await withShop(
      { pool },
      (app) =>
        app.post("/long/*", { config: { idempotency: true } }, async (request) =>
          request.url.at(-1),
        ),
      async ({ post }) => {
        const path = `/long/${"ü".repeat(1_000)}`;
        const a = await post(`${path}a`, { key: "long" });
        const b = await post(`${path}b`, { key: "long" });
        expect([a.text, b.text]).toEqual(["a", "b"]);
        expect((await post(`${path}a`, { key: "long" })).headers.get("idempotent-replayed")).toBe(
          "true",
        );
      },
    );
  });
});

/** Resolves as a promise does, and is none. */
function thenable(value: string): object {
  const lazy = {};
  Reflect.set(lazy, "then", (resolve: (value: string) => void) => resolve(value));
  return lazy;
}

function refuse(): never {
  throw new Error("the tenant table is away");
}
