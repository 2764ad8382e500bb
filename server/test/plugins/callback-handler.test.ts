import net from "node:net";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { watchCallers } from "../support/callers.ts";
import type { Callers } from "../support/callers.ts";
import { createGate } from "../support/gate.ts";
import { countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

describe("a handler that sends from a callback", () => {
  it("is stored with its writes, even if the caller hangs up before it sends", async () => {
    const gate = createGate();
    let callers: Callers | undefined;
    await withShop(
      { pool },
      (app) => {
        callers = watchCallers(app);
        app.post("/do", { config: { idempotency: true } }, (request, reply) => {
          void request.idempotency.tx
            .query("insert into payments (amount) values (1)")
            .then(() => gate.pass())
            .then(() => reply.code(201).send({ paid: true }));
        });
      },
      async ({ app, post }) => {
        const key = crypto.randomUUID();
        const { port } = app.server.address() as net.AddressInfo;
        const socket = net.connect(port, "127.0.0.1");
        socket.write(
          `POST /do HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\nidempotency-key: ${key}\r\n\r\n`,
        );
        await gate.reached;
        socket.destroy();
        await callers?.gone(1);
        gate.open();
        const again = await post("/do", { key });
        expect([again.status, again.text]).toEqual([201, '{"paid":true}']);
        expect(again.headers.get("idempotent-replayed")).toBe("true");
        expect(await countPayments(pool)).toBe(1);
        const fresh = crypto.randomUUID();
        expect((await post("/do", { key: fresh })).headers.get("idempotent-replayed")).toBeNull();
        expect(await countPayments(pool)).toBe(2);
      },
    );
  });
});
