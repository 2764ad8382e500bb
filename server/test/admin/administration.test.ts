import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { addPayments, countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

const address = { key: "looked-at", scope: "single-tenant" };
const DECISION = { by: "an operator", reason: "a test" };
const request = { key: address.key, json: { amount: 1 } };

describe("app.idempotency", () => {
  it("looks records up, and forgets them, also in the memory of the process", async () => {
    await withShop(
      { pool, replayCache: true },
      (app) => addPayments(app),
      async ({ app, post }) => {
        const before = await countPayments(pool);
        await post("/payments", request);
        await post("/payments", request);
        expect(await app.idempotency.lookup(address)).toMatchObject([
          { target: "POST /payments", state: "finished", status: 201, body: null },
        ]);
        expect(await app.idempotency.forget(address, DECISION)).toBe(1);
        expect(await app.idempotency.lookup(address)).toEqual([]);
        expect((await post("/payments", request)).headers.get("idempotent-replayed")).toBeNull();
        expect(await countPayments(pool)).toBe(before + 2);
        await pool.query("delete from oncekey.records");
        expect(
          await app.idempotency.forget({ ...address, target: "POST /payments" }, DECISION),
        ).toBe(0);
        expect((await post("/payments", request)).headers.get("idempotent-replayed")).toBeNull();
      },
    );
  });

  it("forgets every record that it can, also in the process' memory, and then throws for the rest", async () => {
    await pool.query(`create function keep() returns trigger language plpgsql as
      'begin if old.target = ''POST /kept'' then raise exception ''kept''; end if; return old; end';
      create trigger keep before delete on oncekey.records for each row execute function keep()`);
    const runs: string[] = [];
    const add = (app: FastifyInstance, path: string): unknown =>
      app.post(path, { config: { idempotency: true } }, async () => runs.push(path));
    await withShop(
      { pool, replayCache: true, sweep: false },
      (app) => [add(app, "/a"), add(app, "/kept"), add(app, "/z")],
      async ({ app, post }) => {
        const key = "several";
        for (const path of ["/a", "/kept", "/z"]) await post(path, { key });
        const forgetting = app.idempotency.forget({ key, scope: "single-tenant" }, DECISION);
        await expect(forgetting).rejects.toThrow("kept");
        for (const path of ["/a", "/kept", "/z"]) await post(path, { key });
        expect(runs).toEqual(["/a", "/kept", "/z", "/a", "/z"]);
      },
    );
    await pool.query("drop function keep() cascade");
  });

  it("does not forget what a handler works on", async () => {
    const gate = createGate();
    await withShop(
      { pool },
      (app) =>
        app.post(
          "/slow",
          { config: { idempotency: { strategy: "lease", lease: { onCrash: "fail" } } } },
          async () => {
            await gate.pass();
            return "done";
          },
        ),
      async ({ app, post }) => {
        const running = post("/slow", { key: "held" });
        await gate.reached;
        expect(
          await app.idempotency.forget({ key: "held", scope: "single-tenant" }, DECISION),
        ).toBe(0);
        gate.open();
        expect((await running).text).toBe("done");
      },
    );
  });

  it("sweeps, counts, and reports whether it is ready", async () => {
    await withShop(
      { pool, sweep: false },
      (app) => addPayments(app),
      async ({ app, post }) => {
        await app.idempotency.ready();
        await post("/payments", { key: "expired", json: { amount: 1 } });
        await pool.query(
          "update oncekey.records set expires_at = now() - interval '1 hour', fence_until = null where key = 'expired'",
        );
        expect(await app.idempotency.stats()).toMatchObject({
          expired: 1,
          sizeBytes: expect.any(Number),
        });
        expect(await app.idempotency.sweep()).toEqual({ deleted: 1, buried: 0 });
        expect(await app.idempotency.stats()).toMatchObject({ expired: 0 });
      },
    );
  });

  it("needs the pool if there are several, and returns why one is not ready", async () => {
    const poolOf = () => pool;
    const missing = database.pool({ options: "-c search_path=public" });
    await withShop(
      { pool: poolOf as unknown as pg.Pool, schema: "nowhere" },
      (app) => addPayments(app),
      async ({ app }) => {
        await expect(app.idempotency.stats()).rejects.toThrow("needs the pool to work on");
        await expect(app.idempotency.ready(missing)).rejects.toThrow(
          'there is no table "nowhere".records',
        );
      },
    );
  });
});
