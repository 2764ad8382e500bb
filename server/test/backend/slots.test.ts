import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import { Pool } from "pg";
import { expect, test } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createGate } from "../support/gate.ts";
import { post } from "../support/shop.ts";
import { createConnect } from "../../src/store/postgres/connection.ts";
import { ConnectionTimeoutError, slotsOf } from "../../src/store/postgres/slots.ts";

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

test("a slot goes to the next waiter in order, and one whose time is up neither takes it nor loses it", async () => {
  const slots = slotsOf(new Pool({ max: 1 }));
  const order: string[] = [];
  await slots.take(1_000);
  const late = slots.take(5).catch((error: unknown) => void order.push(String(error)));
  const [first, second] = [slots.take(60_000), slots.take(60_000)];
  void first.then(() => order.push("first"));
  void second.then(() => order.push("second"));
  await late;
  slots.free();
  await first;
  slots.free();
  await second;
  slots.free();
  await slots.take(1);
  await expect(slots.take(1)).rejects.toBeInstanceOf(ConnectionTimeoutError);
  expect(order).toEqual([expect.stringContaining("are in use"), "first", "second"]);
});

test("a waiter that got its slot keeps it when its time would have been up", async () => {
  const slots = slotsOf(new Pool({ max: 1 }));
  await slots.take(1_000);
  const waiting = slots.take(5);
  slots.free();
  await waiting;
  const behind = slots.take(60_000);
  await new Promise((resolve) => setTimeout(resolve, 10));
  slots.free();
  await behind;
});

test("a connection that the database refuses gives its slot back to the next request", async () => {
  // Nothing listens on port 1. A pool of 2 has one slot.
  const pool = new Pool({ host: "127.0.0.1", port: 1, max: 2, connectionTimeoutMillis: 5_000 });
  const connect = createConnect(pool);
  await expect(connect()).rejects.toMatchObject({ code: "ECONNREFUSED" });
  await expect(connect()).rejects.toMatchObject({ code: "ECONNREFUSED" });
});
