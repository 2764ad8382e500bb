import pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import type { Strategy } from "@oncekey/server";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { isTooOld } from "../../src/ticket/key-age.ts";
import { addPayments, countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

const json = { amount: 1 };

describe("strategy", () => {
  it.each<Strategy>(["advisory", "unique", "row"])(
    "can differ from route to route, and each makes one payment of many duplicates: %s",
    async (strategy) => {
      const before = await countPayments(pool);
      await withShop(
        { pool },
        (app) => addPayments(app, { strategy }),
        async ({ post }) => {
          const answers = await Promise.all(
            Array.from({ length: 30 }, () => post("/payments", { key: strategy, json })),
          );
          expect(new Set(answers.map(({ status, text }) => `${status} ${text}`)).size).toBe(1);
        },
      );
      expect(await countPayments(pool)).toBe(before + 1);
    },
  );

  it("lease needs to be told what a crash means", async () => {
    const using = withShop(
      { pool, strategy: "lease" },
      (app) => addPayments(app),
      async () => {},
    );
    await expect(using).rejects.toThrow("strategy 'lease' needs option lease with onCrash");
    const without = withShop(
      { pool, strategy: "lease", lease: {} as { onCrash: "fail" } },
      (app) => addPayments(app),
      async () => {},
    );
    await expect(without).rejects.toThrow("lease.onCrash is required");
  });
});

describe("global", () => {
  it("protects every POST and PATCH, but for those that say no, and no other method", async () => {
    await withShop(
      { pool, global: true },
      (app) => {
        app.post("/a", async () => "a");
        app.patch("/a", async () => "a");
        app.put("/a", async () => "a");
        app.get("/a", async () => "a");
        app.post("/open", { config: { idempotency: false } }, async () => "open");
        app.all("/all", async (request) => request.method);
      },
      async ({ app }) => {
        const statusOf = async (method: "POST" | "PATCH" | "PUT" | "GET", url: string) =>
          (await app.inject({ method, url })).statusCode;
        expect(
          await Promise.all(
            (["POST", "PATCH", "PUT", "GET"] as const).map((method) => statusOf(method, "/a")),
          ),
        ).toEqual([400, 400, 200, 200]);
        expect([
          await statusOf("POST", "/open"),
          await statusOf("POST", "/all"),
          await statusOf("GET", "/all"),
        ]).toEqual([200, 400, 200]);
      },
    );
  });
});

describe("maxResponseBytes", () => {
  it("bounds what is kept on a route of its own", async () => {
    await withShop(
      { pool },
      (app) =>
        app.post("/big", { config: { idempotency: { maxResponseBytes: 10 } } }, async () =>
          "x".repeat(11),
        ),
      async ({ post }) => {
        expect((await post("/big", { key: "big" })).text).toHaveLength(11);
        expect((await post("/big", { key: "big" })).status).toBe(410);
      },
    );
  });
});

describe("onUnavailable", () => {
  const nobody = () => new pg.Pool({ host: "127.0.0.1", port: 1, connectionTimeoutMillis: 200 });

  it("refuses by default, and runs the handler unprotected where that is asked for", async () => {
    await withShop(
      { pool: nobody(), sweep: false },
      (app) => {
        app.post("/reject", { config: { idempotency: true } }, async () => "ran");
        app.post(
          "/run",
          { config: { idempotency: { onUnavailable: "run" } } },
          async (request) => request.idempotency.key,
        );
        app.post("/tx", { config: { idempotency: { onUnavailable: "run" } } }, async (request) =>
          request.idempotency.tx.query("select 1"),
        );
      },
      async ({ post }) => {
        expect((await post("/reject", { key: "k" })).status).toBe(503);
        const ran = await post("/run", { key: "k" });
        expect([ran.status, ran.text, ran.headers.get("idempotency-key")]).toEqual([200, "k", "k"]);
        expect((await post("/tx", { key: "k" })).json()["message"]).toContain(
          "the store is unavailable",
        );
        const asked = { key: "k", headers: { "idempotency-only-if-stored": "true" } };
        expect((await post("/run", asked)).status, "nothing may start").toBe(503);
      },
    );
  });
});

describe("maxKeyAgeMs", () => {
  const age = (ms: number): string => {
    const time = (Date.now() - ms).toString(16).padStart(12, "0");
    return `${time.slice(0, 8)}-${time.slice(8)}-7abc-8abc-0123456789ab`;
  };

  it("refuses an old key that is not stored, and replays one that is", async () => {
    const [old, young] = [age(120_000), age(1_000)];
    await withShop(
      { pool },
      (app) => addPayments(app),
      async ({ post }) => void (await post("/payments", { key: old, json })),
    );
    await withShop(
      { pool, maxKeyAgeMs: 60_000 },
      (app) => addPayments(app),
      async ({ post }) => {
        const before = await countPayments(pool);
        expect(
          (await post("/payments", { key: old, json })).headers.get("idempotent-replayed"),
        ).toBe("true");
        const refused = await post("/payments", { key: age(90_000), json });
        expect([refused.status, refused.json()["code"], refused.headers.has("date")]).toEqual([
          412,
          "idempotency_key_expired",
          true,
        ]);
        expect(await countPayments(pool)).toBe(before);
        expect((await post("/payments", { key: young, json })).status).toBe(201);
        expect(
          (await post("/payments", { key: "no-uuid", json })).status,
          "a key that carries no time",
        ).toBe(201);
      },
    );
  });

  it.each([
    ["01890a5d-ac96-774b-bcce-b302099a8057", true],
    ["01890A5D-AC96-774B-BCCE-B302099A8057", true],
    ["01890a5d-ac96-474b-bcce-b302099a8057", false],
    ["01890a5d-ac96-774b-ccce-b302099a8057", false],
    ["order-7", false],
  ])("reads the time of UUIDv7 only: %s", (key, expected) => {
    expect(isTooOld(key, 1_000)).toBe(expected);
    expect(isTooOld(key, undefined)).toBe(false);
  });
});

describe("docsUrl", () => {
  it("is linked from every problem", async () => {
    await withShop(
      { pool, docsUrl: "https://docs.example/keys" },
      (app) => addPayments(app),
      async ({ post }) => {
        expect((await post("/payments", { json })).headers.get("link")).toBe(
          '<https://docs.example/keys>; rel="describedby"',
        );
      },
    );
  });
});

describe("pool as a function", () => {
  it("routes tenants to databases of their own, with the same key in each", async () => {
    const other = database.pool({ options: "-c search_path=tenant_b" });
    await pool.query("create schema tenant_b");
    await createPayments(other);
    const poolOf = (request: { headers: Record<string, unknown> }) =>
      request.headers["x-tenant"] === "b" ? other : pool;
    const scope = (request: { headers: Record<string, unknown> }) =>
      String(request.headers["x-tenant"]);
    await withShop(
      { pool: poolOf as unknown as pg.Pool, scope },
      (app) => addPayments(app),
      async ({ post }) => {
        const before = await countPayments(pool);
        for (const tenant of ["a", "b", "a", "b"]) {
          expect(
            (await post("/payments", { key: "shared", json, headers: { "x-tenant": tenant } }))
              .status,
          ).toBe(201);
        }
        expect([(await countPayments(pool)) - before, await countPayments(other)]).toEqual([1, 1]);
      },
    );
  });
});
