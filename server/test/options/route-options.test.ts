import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import type { RouteIdempotencyOptions, Strategy } from "@oncekey/server";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { isOutOfTime } from "../../src/ticket/key-age.ts";
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

  it("lease needs onCrash", async () => {
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
  it("protects every POST and PATCH except routes that opt out, and no other method", async () => {
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
        const early = await post("/payments", { key: age(-301_000), json });
        expect([early.status, early.json()["code"]]).toEqual([412, "idempotency_key_expired"]);
        expect((await post("/payments", { key: age(-290_000), json })).status).toBe(201);
        expect(
          (await post("/payments", { key: "no-uuid", json })).status,
          "a key that carries no time",
        ).toBe(201);
      },
    );
  });

  it("answers outcome_unknown to an old key whose lease failed, because a new key could charge twice", async () => {
    const key = age(120_000);
    const config = { idempotency: { strategy: "lease", lease: { onCrash: "fail" } } } as const;
    const add = (app: FastifyInstance): unknown =>
      app.post("/charges", { config }, () => Promise.reject(new Error("broke after the charge")));
    const post = { key, json };
    await withShop({ pool }, add, async (shop) => {
      expect((await shop.post("/charges", post)).status).toBe(500);
    });
    await withShop({ pool, maxKeyAgeMs: 60_000 }, add, async (shop) => {
      const refused = (await shop.post("/charges", post)).json();
      expect(refused["code"]).toBe("idempotency_outcome_unknown");
    });
  });

  it.each([
    ["01890a5d-ac96-774b-bcce-b302099a8057", true],
    ["01890A5D-AC96-774B-BCCE-B302099A8057", true],
    ["01890a5d-ac96-474b-bcce-b302099a8057", false],
    ["01890a5d-ac96-774b-ccce-b302099a8057", false],
    ["order-7", false],
  ])("reads the time of UUIDv7 only: %s", (key, expected) => {
    expect(isOutOfTime(key, 1_000)).toBe(expected);
    expect(isOutOfTime(key, undefined)).toBe(false);
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

describe("docsUrl by default", () => {
  it("is linked from a key that onCrash closed, in every replay of it", async () => {
    const idempotency = { strategy: "lease", lease: { onCrash: "fail" } } as const;
    await withShop(
      { pool },
      (app) =>
        app.post("/dies", { config: { idempotency } }, () => {
          throw new Error("planned");
        }),
      async ({ post }) => {
        const key = "closed-by-on-crash";
        await post("/dies", { key });
        for (const answer of [await post("/dies", { key }), await post("/dies", { key })]) {
          expect(answer.json()["code"]).toBe("idempotency_outcome_unknown");
          expect(answer.headers.get("link")).toBe(
            '<https://github.com/oncekey/oncekey/blob/main/docs/runbook/idempotency_outcome_unknown.md>; rel="describedby"',
          );
        }
      },
    );
  });

  it("is the page of the problem in the runbook, and false leaves the link out", async () => {
    for (const [docsUrl, link] of [
      [
        undefined,
        '<https://github.com/oncekey/oncekey/blob/main/docs/runbook/idempotency_key_required.md>; rel="describedby"',
      ],
      [false, null],
    ] as const) {
      await withShop(
        { pool, ...(docsUrl === undefined ? {} : { docsUrl }) },
        (app) => addPayments(app),
        async ({ post }) =>
          expect((await post("/payments", { json })).headers.get("link")).toBe(link),
      );
    }
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

describe("key", () => {
  it("takes the key from elsewhere, as it is, and the header no longer counts", async () => {
    await withShop(
      { pool, key: (request) => (request.body as { event?: string }).event },
      (app) =>
        app.post("/hook", { config: { idempotency: true } }, async ({ idempotency }) => ({
          key: idempotency.key,
          run: crypto.randomUUID(),
        })),
      async ({ post }) => {
        const event = '"evt_1";v=1';
        const first = await post("/hook", { json: { event } });
        const again = await post("/hook", { json: { event } });
        expect(first.json()["key"]).toBe(event);
        expect([again.text, again.headers.get("idempotent-replayed")]).toEqual([
          first.text,
          "true",
        ]);
        const without = await post("/hook", { key: "header", json: {} });
        expect([without.status, without.json()["code"]]).toEqual([400, "idempotency_key_required"]);
        const wrong = await post("/hook", { json: { event: "two words" } });
        expect([wrong.status, wrong.json()["code"]]).toEqual([400, "idempotency_key_invalid"]);
        expect((await post("/hook", { json: { event: 7 } })).status).toBe(500);
      },
    );
  });
});

describe("the type of config.idempotency", () => {
  const handler = async (): Promise<string> => "paid";

  it("has no place for a wrong value, in app.post and in app.route", async () => {
    await withShop(
      { pool },
      (app) => {
        const post = (): unknown =>
          app.post(
            "/a",
            {
              // @ts-expect-error -- no such strategy
              config: { idempotency: { strategy: "rwo" } },
            },
            handler,
          );
        const route = (): unknown =>
          app.route({
            method: "POST",
            url: "/b",
            // @ts-expect-error -- no such strategy
            config: { idempotency: { strategy: "rwo" } },
            handler,
          });
        expect(post).toThrow("strategy must be ");
        expect(route).toThrow("strategy must be ");
      },
      async () => {},
    );
  });

  it("finds a misspelled name only behind satisfies; the route itself refuses it when it is added", async () => {
    await withShop(
      { pool },
      (app) => {
        // @ts-expect-error -- no such option
        const checked = { strtegy: "row" } satisfies RouteIdempotencyOptions;
        const post = (): unknown =>
          app.post("/a", { config: { idempotency: { strtegy: "row" } } }, handler);
        const route = (): unknown =>
          app.route({ method: "POST", url: "/b", config: { idempotency: checked }, handler });
        expect(post).toThrow("unknown idempotency option strtegy");
        expect(route).toThrow("unknown idempotency option strtegy");
      },
      async () => {},
    );
  });
});

describe("an option without effect", () => {
  const lease = { onCrash: "fail" } as const;

  it.each<[string, RouteIdempotencyOptions, string]>([
    ["lease without strategy 'lease'", { lease }, "option lease has no effect with strategy"],
    [
      "waitMs with inFlight 'reject'",
      { waitMs: 5, inFlight: "reject" },
      "option waitMs has no effect with inFlight: 'reject'",
    ],
    [
      "retentionMs below the lease",
      { strategy: "lease", lease, retentionMs: 1_000 },
      "retentionMs must be at least lease.durationMs (30000), got 1000",
    ],
    [
      "fenceMs below retentionMs",
      { retentionMs: 60_000, fenceMs: 50_000 },
      "fenceMs must be at least retentionMs (60000), got 50000",
    ],
    [
      "maxKeyAgeMs above fenceMs",
      { retentionMs: 60_000, fenceMs: 60_000, maxKeyAgeMs: 60_001 },
      "maxKeyAgeMs must be at most fenceMs (60000), got 60001",
    ],
  ])("is refused when the route is added: %s", async (_name, own, message) => {
    const using = withShop(
      { pool },
      (app) => addPayments(app, own),
      async () => {},
    );
    await expect(using).rejects.toThrow(`POST /payments: ${message}`);
  });

  it("is no fault of a registration, whose lease is the default of its lease routes", async () => {
    await withShop(
      { pool, lease, waitMs: 5 },
      (app) => {
        addPayments(app, { inFlight: "reject" });
        app.post("/charge", { config: { idempotency: { strategy: "lease" } } }, async () => "paid");
      },
      async ({ post }) => {
        expect((await post("/payments", { key: "plain", json })).status).toBe(201);
        expect((await post("/charge", { key: "leased", json })).text).toBe("paid");
      },
    );
  });
});
