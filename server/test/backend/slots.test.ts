import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import { expect, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { post } from "../support/shop.ts";

const database = withDatabase();

test("two registrations on one pool of 4 together leave its last connection to the application", async () => {
  const pool = database.pool({ max: 4, connectionTimeoutMillis: 5_000 });
  const gate = createGate();
  const apps = [Fastify(), Fastify()];
  try {
    const urls = await Promise.all(
      apps.map(async (app) => {
        await app.register(idempotency, { pool, scope: "single-tenant" });
        app.post("/hold", { config: { idempotency: true } }, async () => {
          await gate.pass();
          return "held";
        });
        return app.listen({ host: "127.0.0.1", port: 0 });
      }),
    );
    const holding = [0, 1, 2, 3, 4, 5].map((index) =>
      post(urls[index % 2] ?? "", "/hold", { key: `hold-${index}` }),
    );
    while (gate.passed() < 3) await pool.query("select 1");
    // The others have asked for a connection by now, and the application still gets one.
    for (let asked = 0; asked < 20; asked += 1) await pool.query("select 1");
    expect(gate.passed()).toBe(3);
    gate.open();
    const answers = await Promise.all(holding);
    expect(answers.map(({ text }) => text)).toEqual(Array(6).fill("held"));
  } finally {
    await Promise.all(apps.map((app) => app.close()));
  }
});
