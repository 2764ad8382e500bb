/** Defects that were seen in other libraries for idempotency keys, one test each. */
import { Readable } from "node:stream";
import type { FastifyInstance, FastifyRequest } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { addPayments, countPayments, createPayments, withShop } from "../support/shop.ts";
import type { Answer } from "../support/shop.ts";
import { stored } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

const protect = { config: { idempotency: true } };
const ALL_BYTES = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
const newKey = (): string => crypto.randomUUID();
const isReplayed = ({ headers }: Answer): boolean => headers.get("idempotent-replayed") === "true";

describe("a refusal", () => {
  it("of a duplicate in flight is not stored: the next duplicate is refused too, and then gets the answer", async () => {
    const gate = createGate();
    await withShop(
      { pool, inFlight: "reject" },
      (app) =>
        app.post("/slow", protect, async () => {
          await gate.pass();
          return "the answer";
        }),
      async ({ post }) => {
        const key = newKey();
        const first = post("/slow", { key });
        await gate.reached;
        const duplicates = [await post("/slow", { key }), await post("/slow", { key })];
        expect(duplicates.map(({ status }) => status)).toEqual([409, 409]);
        expect(duplicates.map(isReplayed)).toEqual([false, false]);
        gate.open();
        expect((await first).text).toBe("the answer");
        expect((await post("/slow", { key })).text).toBe("the answer");
        expect(gate.passed()).toBe(1);
      },
    );
  });

  it("of another body, before or after the end, leaves the record to the honest retry", async () => {
    const gate = createGate();
    await withShop(
      { pool, mismatch: "reject" },
      (app) =>
        app.post<{ Body: { amount: number } }>("/slow", protect, async ({ body }) => {
          await gate.pass();
          return body;
        }),
      async ({ post }) => {
        const key = newKey();
        const honest = { key, json: { amount: 7 } };
        const first = post("/slow", honest);
        await gate.reached;
        const during = await post("/slow", { key, json: { amount: 8 } });
        gate.open();
        await first;
        const after = await post("/slow", { key, json: { amount: 8 } });
        // A conflict that waiting cannot resolve is never reported as retryable.
        for (const refused of [during, after]) {
          expect([refused.status, refused.json()["code"]]).toEqual([422, "idempotency_conflict"]);
          expect(refused.headers.get("retry-after")).toBeNull();
        }
        const retry = await post("/slow", honest);
        expect([retry.status, retry.text, isReplayed(retry)]).toEqual([200, '{"amount":7}', true]);
      },
    );
  });
});

describe("a key", () => {
  it("that is missing is distinguished from one that is too long", async () => {
    await withShop({ pool }, addPayments, async ({ post }) => {
      const missing = await post("/payments", { json: { amount: 1 } });
      const long = await post("/payments", { key: "k".repeat(256), json: { amount: 1 } });
      expect([missing, long].map((answer) => answer.json()["code"])).toEqual([
        "idempotency_key_required",
        "idempotency_key_invalid",
      ]);
    });
  });

  it("is one caller's, on one route, for one resource: no other gets its answer", async () => {
    const routes = (app: FastifyInstance): void => {
      for (const url of ["/orders/:id", "/refunds/:id"]) {
        app.post(url, protect, async (request, reply) => {
          reply.header("set-cookie", `session=${request.headers.authorization}`);
          return { of: request.headers.authorization, at: request.url };
        });
      }
    };
    const scope = ({ headers }: FastifyRequest): string => headers.authorization ?? "";
    await withShop({ pool, scope }, routes, async ({ post }) => {
      const key = newKey();
      const ask = (path: string, authorization: string) =>
        post(path, { key, headers: { authorization } });
      for (const [path, caller] of [
        ["/orders/1", "ann"],
        ["/orders/2", "ann"],
        ["/refunds/1", "ann"],
        ["/orders/1", "bob"],
      ] as const) {
        const own = { of: caller, at: path };
        const [first, again] = [await ask(path, caller), await ask(path, caller)];
        expect([first.json(), isReplayed(first)]).toEqual([own, false]);
        expect([again.json(), isReplayed(again)]).toEqual([own, true]);
        expect(again.headers.get("set-cookie")).toBeNull();
      }
    });
  });

  it("is all that makes two requests one: equal bodies under two keys, or no bodies at all, run twice", async () => {
    let runs = 0;
    await withShop(
      { pool },
      (app) => {
        for (const url of ["/a", "/b"]) app.post(url, protect, async () => ({ run: (runs += 1) }));
      },
      async ({ post }) => {
        const answers = [
          await post("/a", { key: newKey(), json: { amount: 1 } }),
          await post("/a", { key: newKey(), json: { amount: 1 } }),
          await post("/a", { key: newKey() }),
          await post("/a", { key: newKey() }),
          await post("/b", { key: newKey() }),
        ];
        expect(answers.map((answer) => answer.json()["run"])).toEqual([1, 2, 3, 4, 5]);
      },
    );
  });
});

describe("a request", () => {
  it("with its members in another order is the same one", async () => {
    await withShop({ pool }, addPayments, async ({ post }) => {
      const key = newKey();
      await post("/payments", { key, json: { amount: 1, to: { name: "ann", city: "x" } } });
      const again = await post("/payments", {
        key,
        json: { to: { city: "x", name: "ann" }, amount: 1 },
      });
      expect(isReplayed(again)).toBe(true);
      expect(again.headers.get("idempotency-mismatch")).toBeNull();
    });
  });

  it("with another query is another one: its answer is marked, or refused", async () => {
    for (const [mismatch, status] of [
      ["replay", 200],
      ["reject", 422],
    ] as const) {
      await withShop(
        { pool, mismatch },
        (app) => app.post("/pay", protect, async ({ query }) => query),
        async ({ post }) => {
          const key = newKey();
          await post("/pay?to=alice", { key });
          const other = await post("/pay?to=mallory", { key });
          expect(other.status).toBe(status);
          expect(other.headers.get("idempotency-mismatch")).toBe(status === 200 ? "true" : null);
        },
      );
    }
  });
});

describe("a response", () => {
  it.each([
    ["a buffer", () => ALL_BYTES],
    ["a stream", () => Readable.from([ALL_BYTES.subarray(0, 100), ALL_BYTES.subarray(100)])],
  ])("of bytes is whole on the first answer and on a replay: %s", async (_name, body) => {
    await withShop(
      { pool },
      (app) =>
        app.post("/do", protect, async (_request, reply) => reply.type("image/png").send(body())),
      async ({ post }) => {
        const key = newKey();
        for (const answer of [await post("/do", { key }), await post("/do", { key })]) {
          expect(answer.bytes).toEqual(ALL_BYTES);
          expect(answer.headers.get("content-type")).toBe("image/png");
        }
      },
    );
  });

  it("keeps its Location, and the headers that the application names", async () => {
    await withShop(
      { pool, storeHeaders: ["location", "x-order"] },
      (app) =>
        app.post("/do", protect, async (_request, reply) =>
          reply.code(201).header("location", "/orders/1").header("x-order", "1").send(),
        ),
      async ({ post }) => {
        const key = newKey();
        await post("/do", { key });
        const { headers } = await post("/do", { key });
        expect([headers.get("location"), headers.get("x-order")]).toEqual(["/orders/1", "1"]);
      },
    );
  });

  it("of a handler that failed is neither stored nor emptied: the retry runs again", async () => {
    let runs = 0;
    await withShop(
      { pool },
      (app) =>
        app.post("/do", protect, async (request) => {
          runs += 1;
          await request.idempotency.tx.query("insert into payments (amount) values (1)");
          if (runs === 1) throw new Error("broken");
          return { runs };
        }),
      async ({ post }) => {
        const key = newKey();
        const before = await countPayments(pool);
        const failed = await post("/do", { key });
        expect([failed.status, failed.json()["message"]]).toEqual([500, "broken"]);
        expect(await stored(pool, key)).toBeUndefined();
        const again = await post("/do", { key });
        expect([again.json(), isReplayed(again)]).toEqual([{ runs: 2 }, false]);
        expect(await countPayments(pool)).toBe(before + 1);
      },
    );
  });
});
