import net from "node:net";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { buffer } from "node:stream/consumers";
import { expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { listening } from "../support/listening.ts";
import { addPayments, countPayments, createPayments, withShop } from "../support/shop.ts";

const database = withDatabase();

it.each(["advisory", "lease"] as const)(
  "strategy %s: a body that dribbles in claims nothing and takes no connection until it is whole",
  async (strategy) => {
    const pool = database.pool();
    await pool.query("drop table if exists payments");
    await createPayments(pool);
    const lease = { onCrash: "fail" as const };
    const config = strategy === "lease" ? { strategy, lease } : { strategy };
    const key = `slow-${strategy}`;
    const body = JSON.stringify({ amount: 47 });
    await listening("oncekey:begin", (begun) =>
      withShop(
        { pool, sweep: false },
        (app) => {
          if (strategy === "advisory") return addPayments(app, config);
          return app.post("/payments", { config: { idempotency: config } }, async (_, reply) => {
            await pool.query("insert into payments (amount) values (47)");
            return reply.code(201).send({ paid: true });
          });
        },
        async ({ app, post }) => {
          const socket = net.connect((app.server.address() as AddressInfo).port, "127.0.0.1");
          const arrived = once(app.server, "request");
          socket.write(
            `POST /payments HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\n` +
              `content-length: ${body.length}\r\nidempotency-key: ${key}\r\n\r\n`,
          );
          const [request] = await arrived;
          for (const byte of body.slice(0, -1)) {
            const { bytesRead } = request.socket;
            socket.write(byte);
            await expect.poll(() => request.socket.bytesRead).toBe(bytesRead + 1);
          }
          expect(request.complete).toBe(false);
          expect(pool.totalCount - pool.idleCount).toBe(0);
          expect(begun).toEqual([]);
          expect(
            (await pool.query("select from oncekey.records where key = $1", [key])).rowCount,
          ).toBe(0);

          // The key is free: another request with it does not wait.
          const first = await post("/payments", { key, json: { amount: 47 } });
          expect([first.status, first.headers.get("idempotent-replayed")]).toEqual([201, null]);
          socket.write(body.slice(-1));
          const late = (await buffer(socket)).toString();
          expect(late).toMatch(/^HTTP\/1.1 201 /);
          expect(late.toLowerCase()).toContain("idempotent-replayed: true");
          expect(late).toContain(first.text);
          expect(await countPayments(pool)).toBe(1);
        },
      ),
    );
  },
);
