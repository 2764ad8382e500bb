import { randomBytes } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import type { EncryptionOptions, Strategy } from "@oncekey/server";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";
import type { Shop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const first = { id: "2026-01", secret: randomBytes(32) };
const second = { id: "2026-02", secret: randomBytes(32).toString("base64") };

interface Card {
  readonly card: string;
}

function routes(app: FastifyInstance): void {
  app.post<{ Body: Card }>("/pay", { config: { idempotency: true } }, async (request, reply) =>
    reply
      .header("location", "/secret-place")
      .send({ card: request.body.card, at: performance.now() }),
  );
}

function withKeys(
  keys: EncryptionOptions["keys"],
  use: (shop: Shop) => Promise<void>,
  more: object = {},
): Promise<void> {
  return withShop({ pool, encryption: { keys }, waitMs: 50, ...more }, routes, use);
}

async function rowsOf(...keys: string[]): Promise<Record<string, unknown>[]> {
  const { rows } = await pool.query<Record<string, unknown>>(
    "select * from oncekey.records where key = any($1) order by key",
    [keys],
  );
  return rows;
}

const json = { card: "4242424242424242" };

describe("encryption", () => {
  it.each<Strategy>(["advisory", "unique", "row", "lease"])(
    "replays what it has encrypted, and leaves nothing readable in the table: %s",
    async (strategy) => {
      const more = { strategy, lease: { onCrash: "rerun" } };
      await withKeys(
        [first],
        async ({ post }) => {
          const key = `secret-${strategy}`;
          const answer = await post("/pay", { key, json });
          const again = await post("/pay", { key, json });
          expect(again.bytes).toEqual(answer.bytes);
          expect(again.headers.get("location")).toBe("/secret-place");
          expect(again.headers.get("idempotent-replayed")).toBe("true");
          const [row] = await rowsOf(key);
          const everything = Object.values(row ?? {}).map((value) =>
            value instanceof Buffer ? value.toString("latin1") : String(value),
          );
          expect(everything.join(" ")).not.toMatch(/4242|secret-place|application/);
        },
        more,
      );
    },
  );

  it("distinguishes another request by its fingerprint, which is keyed in the table", async () => {
    await withKeys([first], async ({ post }) => {
      await post("/pay", { key: "keyed", json });
      expect(
        (await post("/pay", { key: "keyed", json: { card: "1" } })).headers.get(
          "idempotency-mismatch",
        ),
      ).toBe("true");
      expect(
        (await post("/pay", { key: "keyed", json })).headers.get("idempotency-mismatch"),
      ).toBeNull();
    });
    await withShop({ pool }, routes, async ({ post }) => {
      await post("/pay", { key: "plain", json });
    });
    const fingerprints = (await rowsOf("keyed", "plain")).map(({ fingerprint }) =>
      String(fingerprint),
    );
    expect(new Set(fingerprints).size).toBe(2);
  });

  it.each<Strategy>(["advisory", "row", "lease"])(
    "shows of no two requests that they are equal, whoever sent them: %s",
    async (strategy) => {
      const scope = (request: { headers: Record<string, unknown> }): string =>
        String(request.headers["x-customer"]);
      const more = { scope, strategy, lease: { onCrash: "rerun" } };
      await withKeys(
        [first],
        async ({ post }) => {
          for (const key of ["equal-1", "equal-2"]) {
            for (const customer of ["one", "two"])
              await post("/pay", { key, json, headers: { "x-customer": customer } });
          }
          const rows = await rowsOf("equal-1", "equal-2");
          expect(rows).toHaveLength(4);
          expect(new Set(rows.map((row) => String(row["fingerprint"]))).size).toBe(4);
          await pool.query("delete from oncekey.records where key = any($1)", [
            ["equal-1", "equal-2"],
          ]);
        },
        more,
      );
    },
  );

  it("is rotated by a new key in front: old records open, new ones are written with it", async () => {
    await withKeys([first], async ({ post }) => void (await post("/pay", { key: "old", json })));
    await withKeys([second, first], async ({ post }) => {
      const old = await post("/pay", { key: "old", json });
      expect([old.json()["card"], old.headers.get("idempotency-mismatch")]).toEqual([
        json.card,
        null,
      ]);
      await post("/pay", { key: "young", json });
    });
    await withKeys([second], async ({ post }) => {
      expect((await post("/pay", { key: "young", json })).json()["card"]).toBe(json.card);
      expect((await post("/pay", { key: "old", json })).status, "its key is gone").toBe(503);
    });
  });

  it("is rotated under a lease that crashed: only the request that began it goes on", async () => {
    const leased = (app: FastifyInstance): unknown =>
      app.post("/charge", { config: { idempotency: true } }, async (request, reply) => {
        const { attempt } = request.idempotency;
        return attempt === 1 ? reply.code(500).send("crash") : { attempt };
      });
    const strategy = { strategy: "lease", lease: { onCrash: "rerun" } } as const;
    const withLeases = (keys: EncryptionOptions["keys"], use: (shop: Shop) => Promise<void>) =>
      withShop({ pool, encryption: { keys }, ...strategy }, leased, use);
    await withLeases([first], async ({ post }) => {
      expect((await post("/charge", { key: "leased", json })).status).toBe(500);
    });
    // The query that the guide gives before the old key is taken out.
    const { rows } = await pool.query(
      `select key from oncekey.records
       where status is null and encode(substring(fingerprint from 34), 'escape') = $1`,
      [first.id],
    );
    expect(rows).toEqual([{ key: "leased" }]);
    await withLeases([second, first], async ({ post }) => {
      const other = await post("/charge", { key: "leased", json: { card: "5555" } });
      expect(other.json()["code"]).toBe("idempotency_conflict");
      expect((await post("/charge", { key: "leased", json })).json()).toEqual({ attempt: 2 });
    });
    for (const keys of [[second, first], [second]]) {
      await withLeases(keys, async ({ post }) => {
        const again = await post("/charge", { key: "leased", json });
        expect([again.status, again.json()]).toEqual([200, { attempt: 2 }]);
        expect(again.headers.get("idempotency-mismatch")).toBeNull();
      });
    }
  });

  it("never runs a request again whose record it cannot read", async () => {
    await withKeys([first], async ({ post }) => void (await post("/pay", { key: "locked", json })));
    await withKeys([second], async ({ post }) =>
      expect((await post("/pay", { key: "locked", json })).status).toBe(503),
    );
  });

  it("refuses records that are not encrypted", async () => {
    await withShop(
      { pool },
      routes,
      async ({ post }) => void (await post("/pay", { key: "open", json })),
    );
    await withKeys([first], async ({ post }) =>
      expect((await post("/pay", { key: "open", json })).status).toBe(503),
    );
  });

  it("covers the results of steps", async () => {
    await withShop(
      { pool, encryption: { keys: [first] } },
      (app) =>
        app.post(
          "/step",
          { config: { idempotency: { strategy: "lease", lease: { onCrash: "rerun" } } } },
          async (request, reply) => {
            const charge = await request.idempotency.step("charge", () => "ch_secret");
            if (request.idempotency.attempt === 1) return reply.code(500).send("crash");
            return { charge };
          },
        ),
      async ({ post }) => {
        await post("/step", { key: "steps" });
        const [row] = await rowsOf("steps");
        expect(row?.["steps"]).toContain("charge");
        expect(row?.["steps"]).not.toContain("ch_secret");
        expect((await post("/step", { key: "steps" })).json()).toEqual({ charge: "ch_secret" });
      },
    );
  });
});

describe("the option", () => {
  it.each<[unknown, string]>([
    [{ keys: [] }, "encryption.keys must be a list"],
    [{ keys: [{ id: "a", secret: "short" }] }, "encryption.keys must be a list"],
    [{ keys: [{ id: "a b", secret: first.secret }] }, "encryption.keys must be a list"],
    [{ keys: [first, first] }, "with distinct ids"],
    [{}, "encryption.keys is required"],
    [{ keys: [first], plaintext: true }, "encryption.plaintext must be 'reject' or 'read'"],
    [first.secret.toString("hex"), "encryption must be an object with keys"],
  ])("is refused by name, and no secret is repeated: %#", async (encryption, message) => {
    const using = withShop(
      { pool, encryption: encryption as EncryptionOptions },
      routes,
      async () => {},
    );
    await expect(using).rejects.toThrow(message);
    await expect(using).rejects.not.toThrow(first.secret.toString("hex"));
  });
});
