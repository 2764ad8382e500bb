import { createHash } from "node:crypto";
import { idempotency, migrate } from "@oncekey/server";
import { operator } from "@oncekey/server/operator";
import type { OperatorOptions } from "@oncekey/server/operator";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await migrate(pool);
});
beforeEach(async () => {
  await pool.query("truncate oncekey.records");
  await pool.query(
    `insert into oncekey.records (key, scope, target, fingerprint, owner, lease_until, created_at, expires_at)
     values ('stuck', 'ada', 'POST /charges', '\\x00', gen_random_uuid(), now() - interval '1 min', now(), now() + interval '1 day')`,
  );
});

async function withDesk(
  options: OperatorOptions,
  use: (app: FastifyInstance) => Promise<void>,
): Promise<void> {
  await using app = Fastify();
  await app.register(idempotency, { pool, scope: "single-tenant", sweep: false });
  await app.register(operator, { prefix: "/ops", ...options });
  await use(app);
}

/** A form of the page, as a browser sends it. */
async function send(
  app: FastifyInstance,
  fields: Readonly<Record<string, string>> = {},
  headers: Readonly<Record<string, string>> = { "sec-fetch-site": "same-origin" },
) {
  const all = {
    form: "form-1",
    key: "stuck",
    scope: "ada",
    target: "POST /charges",
    reason: "ticket 1",
    checked: "yes",
    ...fields,
  };
  return app.inject({
    method: "POST",
    url: "/ops/forget",
    headers: {
      "content-type": "application/x-www-form-urlencoded",
      host: "shop.example",
      ...headers,
    },
    payload: new URLSearchParams(all).toString(),
  });
}

async function countStuck(): Promise<number> {
  const { rows } = await pool.query("select from oncekey.records where key = 'stuck'");
  return rows.length;
}

const open: OperatorOptions = { authenticate: false };

describe("registration", () => {
  it.each<[string, unknown, string]>([
    ["no authentication", {}, "operator option authenticate must be an onRequest hook or a list"],
    ["an empty list of hooks", { authenticate: [] }, "operator option authenticate must be"],
    ["authenticate: true", { authenticate: true }, "operator option authenticate must be"],
    [
      "a hook without by",
      { authenticate: async () => {} },
      "operator option by must be a function",
    ],
    ["an unknown name", { ...open, title: "x" }, "unknown operator option title; allowed are"],
    ["a pool that is none", { ...open, pool: 1 }, "operator option pool must be a pg.Pool"],
  ])("refuses %s", async (_name, options, message) => {
    await expect(withDesk(options as OperatorOptions, async () => {})).rejects.toThrow(message);
  });

  it("refuses to start without idempotency around it, and without a pool if that comes with the request", async () => {
    await using bare = Fastify();
    await expect(bare.register(operator, open)).rejects.toThrow("register idempotency first");
    await using app = Fastify();
    await app.register(idempotency, { pool: () => pool, scope: "single-tenant", sweep: false });
    await expect(app.register(operator, open)).rejects.toThrow("operator option pool is required");
  });
});

describe("the application's authentication", () => {
  const guarded: OperatorOptions = {
    authenticate: async ({ headers }) => {
      if (headers.authorization !== "staff")
        throw Object.assign(new Error("sign in first"), { statusCode: 401 });
    },
    by: ({ headers }) => String(headers.authorization),
  };

  it.each(["/ops/", "/ops/key?key=stuck", "/ops/style.css", "/ops/live.js"])(
    "runs before GET %s, and the application answers its refusal",
    async (url) => {
      await withDesk(guarded, async (app) => {
        const refused = await app.inject({ url });
        expect([refused.statusCode, refused.json()]).toMatchObject([
          401,
          { message: "sign in first" },
        ]);
        const headers = { authorization: "staff" };
        expect((await app.inject({ url, headers })).statusCode).toBe(200);
      });
    },
  );

  it("runs before a form", async () => {
    await withDesk(guarded, async (app) => {
      expect((await send(app)).statusCode).toBe(401);
      expect(await countStuck()).toBe(1);
    });
  });

  it("may be a list of hooks, and a hook with a callback", async () => {
    const ran: string[] = [];
    const authenticate: OperatorOptions["authenticate"] = [
      async () => void ran.push("first"),
      (_request, _reply, done) => {
        ran.push("second");
        done();
      },
    ];
    await withDesk({ authenticate, by: () => "Ada" }, async (app) => {
      expect((await app.inject({ url: "/ops/" })).statusCode).toBe(200);
      expect(ran).toEqual(["first", "second"]);
    });
  });
});

describe("a form", () => {
  it.each<[string, Readonly<Record<string, string>>, number]>([
    ["of this origin", { "sec-fetch-site": "same-origin" }, 303],
    ["of this origin by an older browser", { origin: "https://shop.example" }, 303],
    ["of another site", { "sec-fetch-site": "cross-site" }, 403],
    ["of a sister domain", { "sec-fetch-site": "same-site" }, 403],
    ["of another origin by an older browser", { origin: "https://evil.example" }, 403],
    ["of an opaque origin", { origin: "null" }, 403],
    ["without proof", {}, 403],
  ])("%s is answered", async (_name, headers, status) => {
    await withDesk(open, async (app) => {
      expect(
        (await send(app, { form: `form ${_name}`.replaceAll(" ", "-") }, headers)).statusCode,
      ).toBe(status);
      expect(await countStuck()).toBe(status === 303 ? 0 : 1);
    });
  });

  it("that is sent twice decides once: the second gets the first one's answer", async () => {
    await withDesk(open, async (app) => {
      const first = await send(app, { form: "twice" });
      // The key has run again and is stuck again: the same form must not touch it.
      await pool.query(
        `insert into oncekey.records (key, scope, target, fingerprint, owner, lease_until, created_at, expires_at)
         values ('stuck', 'ada', 'POST /charges', '\\x00', gen_random_uuid(), now() - interval '1 min', now(), now() + interval '1 day')`,
      );
      const second = await send(app, { form: "twice" });
      expect([first.statusCode, second.statusCode]).toEqual([303, 303]);
      expect(second.headers.location).toBe(first.headers.location);
      expect(second.headers["idempotent-replayed"]).toBe("true");
      expect(await countStuck()).toBe(1);
    });
  });

  it.each<[string, Readonly<Record<string, string>>, number]>([
    ["no reason", { reason: "" }, 400],
    ["no tick in its box", { checked: "" }, 400],
    ["no key of its own", { form: "" }, 400],
    ["a reason that is too long", { reason: "x".repeat(1_001) }, 400],
  ])("with %s is refused and changes nothing", async (_name, fields, status) => {
    await withDesk(open, async (app) => {
      expect((await send(app, fields)).statusCode).toBe(status);
      expect(await countStuck()).toBe(1);
    });
  });
});

it("serves every page with a policy that allows nothing inline and no frame, and stores none", async () => {
  await withDesk(open, async (app) => {
    for (const url of ["/ops/", "/ops/key?key=stuck", "/ops/key"]) {
      const { headers, body } = await app.inject({ url });
      expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; style-src 'self'/);
      expect(headers["content-security-policy"]).toContain("frame-ancestors 'none'");
      expect(headers["cache-control"]).toBe("no-store");
      expect(headers["x-content-type-options"]).toBe("nosniff");
      expect(body).not.toMatch(/<style|<script>|\sstyle=|\son\w+=/);
    }
    const { statusCode, body } = await app.inject({ url: "/ops/key" });
    expect([statusCode, body.includes("key is missing.")]).toEqual([400, true]);
  });
});

it("shows the digest by which logs name the key", async () => {
  const digestSecret = createHash("sha256").update("of this file").digest();
  await using app = Fastify();
  await app.register(idempotency, { pool, scope: "single-tenant", sweep: false, digestSecret });
  await app.register(operator, { prefix: "/ops", ...open });
  const { keyDigest } = await import("@oncekey/server");
  const { body } = await app.inject({ url: "/ops/key?key=stuck" });
  expect(body).toContain(keyDigest("stuck", digestSecret));
});
