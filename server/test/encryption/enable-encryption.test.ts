/** Turning encryption on: what was written without a key, to servers that read it and to servers that do not. */
import { randomBytes } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import type { EncryptionOptions, Strategy } from "@oncekey/server";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";
import type { Answer, Shop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

const keys = [{ id: "2026-01", secret: randomBytes(32) }];
const reading: EncryptionOptions = { keys, plaintext: "read" };
const rejecting: EncryptionOptions = { keys };

const json = { card: "4242424242424242" };

function withServer(
  encryption: EncryptionOptions | undefined,
  strategy: Strategy,
  routes: (app: FastifyInstance) => unknown,
  use: (shop: Shop) => Promise<void>,
): Promise<void> {
  const options = { pool, strategy, mismatch: "reject", lease: { onCrash: "rerun" } } as const;
  return withShop({ ...options, ...(encryption && { encryption }) }, routes, use);
}

function pay(app: FastifyInstance): unknown {
  return app.post("/pay", { config: { idempotency: true } }, async (request) => request.body);
}

async function rowOf(key: string): Promise<Record<string, unknown>> {
  const { rows } = await pool.query<Record<string, unknown>>(
    "select fingerprint, headers, steps from oncekey.records where key = $1",
    [key],
  );
  return rows[0] ?? {};
}

function isSealed({ headers }: Record<string, unknown>): boolean {
  return String(headers).includes("oncekey-sealed");
}

function tell(answer: Answer): unknown {
  return answer.status === 503 ? answer.json()["code"] : answer.text;
}

describe("a record that was written without a key", () => {
  it.each<Strategy>(["advisory", "unique", "row", "lease"])(
    "is read under plaintext 'read', refused under 'reject', and what is new is sealed: %s",
    async (strategy) => {
      const [plain, young] = [`plain-${strategy}`, `young-${strategy}`];
      await withServer(undefined, strategy, pay, async ({ post }) => {
        await post("/pay", { key: plain, json });
      });
      await withServer(reading, strategy, pay, async ({ post }) => {
        const replay = await post("/pay", { key: plain, json });
        expect(replay.json()).toEqual(json);
        expect(replay.headers.get("idempotent-replayed")).toBe("true");
        const other = await post("/pay", { key: plain, json: { card: "1" } });
        expect(other.json()["code"]).toBe("idempotency_conflict");
        await post("/pay", { key: young, json });
      });
      expect([isSealed(await rowOf(plain)), isSealed(await rowOf(young))]).toEqual([false, true]);
      for (const encryption of [rejecting, { ...reading, plaintext: "reject" as const }]) {
        await withServer(encryption, strategy, pay, async ({ post }) => {
          expect(tell(await post("/pay", { key: plain, json }))).toBe("idempotency_unavailable");
          expect((await post("/pay", { key: young, json })).json()).toEqual(json);
        });
      }
    },
  );

  it.each([
    ["a server without keys", undefined],
    ["plaintext 'read'", reading],
    ["plaintext 'reject'", rejecting],
  ])(
    "is refused where its fingerprint is keyed, so that it is patched together: %s",
    async (name, encryption) => {
      const [plain, sealed] = [`patched ${name}`, `sealed ${name}`].map((key) =>
        key.replaceAll(/\W/g, "-"),
      );
      await withServer(undefined, "advisory", pay, async ({ post }) => {
        await post("/pay", { key: plain, json });
      });
      await withServer(rejecting, "advisory", pay, async ({ post }) => {
        await post("/pay", { key: sealed, json });
      });
      await pool.query(
        "update oncekey.records a set fingerprint = b.fingerprint from oncekey.records b where a.key = $1 and b.key = $2",
        [plain, sealed],
      );
      await withServer(encryption, "advisory", pay, async ({ post }) =>
        expect(tell(await post("/pay", { key: plain, json }))).toBe("idempotency_unavailable"),
      );
    },
  );
});

describe("a lease that crashed on a server without keys", () => {
  /** Charges once, in a step, and crashes in its first attempts. */
  function charging(crashes: number, charges: string[]): (app: FastifyInstance) => unknown {
    return (app) =>
      app.post("/charge", { config: { idempotency: true } }, async (request, reply) => {
        const { step, attempt } = request.idempotency;
        const charge = (name: string): Promise<string> =>
          step(name, () => {
            charges.push(name);
            return `${name}-result`;
          });
        const first = await charge("first");
        if (attempt === 1) return reply.code(500).send("crash");
        const second = await charge("second");
        return attempt <= crashes ? reply.code(500).send("crash") : { first, second };
      });
  }
  const done = { first: "first-result", second: "second-result" };

  it("is taken over under 'read', with its steps, and what comes of it is sealed", async () => {
    const charges: string[] = [];
    const routes = charging(1, charges);
    const key = "begun-plain";
    await withServer(undefined, "lease", routes, async ({ post }) => {
      expect((await post("/charge", { key, json })).status).toBe(500);
    });
    await withServer(rejecting, "lease", routes, async ({ post }) => {
      expect(tell(await post("/charge", { key, json }))).toBe("idempotency_unavailable");
    });
    await withServer(reading, "lease", routes, async ({ post }) => {
      expect((await post("/charge", { key, json })).json()).toEqual(done);
    });
    expect(isSealed(await rowOf(key))).toBe(true);
    for (const encryption of [reading, rejecting]) {
      await withServer(encryption, "lease", routes, async ({ post }) => {
        expect((await post("/charge", { key, json })).json()).toEqual(done);
      });
    }
    await withServer(undefined, "lease", routes, async ({ post }) => {
      expect(tell(await post("/charge", { key, json }))).toBe("idempotency_unavailable");
    });
    expect(charges).toEqual(["first", "second"]);
  });

  it("has sealed steps where it crashed again under 'read': without a key none is done twice", async () => {
    const charges: string[] = [];
    const routes = charging(3, charges);
    const key = "crashed-twice";
    const crash = async ({ post }: Shop): Promise<void> =>
      expect((await post("/charge", { key, json })).status).toBe(500);
    await withServer(undefined, "lease", routes, crash);
    await withServer(reading, "lease", routes, crash);
    const { steps } = await rowOf(key);
    expect(steps).toContain("first-result");
    expect(steps).not.toContain("second-result");
    await withServer(undefined, "lease", routes, async ({ post }) => {
      const answer = await post("/charge", { key, json });
      expect(answer.status).toBe(500);
      expect(answer.text).toContain("encrypted, and option encryption is not set");
    });
    await withServer(reading, "lease", routes, async ({ post }) => {
      expect((await post("/charge", { key, json })).json()).toEqual(done);
    });
    expect(charges).toEqual(["first", "second"]);
  });

  it.each([
    ["refused", rejecting, 500],
    ["read", reading, 200],
  ])("cannot be told from a planted step, which is %s", async (name, encryption, status) => {
    const charges: string[] = [];
    const routes = charging(1, charges);
    const key = `planted-${name}`;
    await withServer(encryption, "lease", routes, async ({ post }) => {
      expect((await post("/charge", { key, json })).status).toBe(500);
      const planted = JSON.stringify({ first: JSON.stringify({ result: "planted" }) });
      await pool.query("update oncekey.records set steps = $2 where key = $1", [key, planted]);
      const answer = await post("/charge", { key, json });
      expect(answer.status).toBe(status);
      expect(charges).toEqual(status === 200 ? ["first", "second"] : ["first"]);
    });
  });
});
