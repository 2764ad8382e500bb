import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, problem, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

describe("is done", () => {
  it.each<[string, Reply, object]>([
    [
      "a replay",
      json(201, { id: 1 }, { "idempotent-replayed": "true" }),
      { value: { id: 1 }, replayed: true, status: 201 },
    ],
    ["no body", json(204, undefined), { value: undefined, status: 204 }],
    [
      "text",
      (response, { key }) =>
        response.writeHead(200, { "content-type": "text/plain", "idempotency-key": key }).end("ok"),
      { value: "ok" },
    ],
    [
      "a body that the server could not keep",
      problem(410, "idempotency_response_not_stored", {}, { originalStatus: 201 }),
      { value: undefined, status: 201, replayed: true },
    ],
  ])("with %s", async (_name, reply, expected) => {
    await withServer([reply], async ({ url }) => {
      expect(await createShop(url).order.run(cart)).toMatchObject({
        kind: "done",
        attempts: 1,
        ...expected,
      });
    });
  });

  it.each([307, 308])(
    "through a %d redirect, which repeats method, body and key",
    async (status) => {
      await withServer(
        [(response) => response.writeHead(status, { location: "/moved" }).end(), done],
        async ({ url, seen }) => {
          const result = await createShop(url).order.run(cart);
          expect(result.kind).toBe("done");
          expect(seen.map(({ method, body, key, path }) => [method, body, key, path])).toEqual([
            ["POST", '{"lines":["apple"]}', result.key, "/api/orders"],
            ["POST", '{"lines":["apple"]}', result.key, "/moved"],
          ]);
        },
      );
    },
  );

  it.each([301, 302, 303])(
    "through a %d redirect, which becomes a GET whose answer is the result",
    async (status) => {
      const receipt: Reply = (response) =>
        response.writeHead(200, { "content-type": "application/json" }).end('{"id":9}');
      await withServer(
        [(response) => response.writeHead(status, { location: "/receipt" }).end(), receipt],
        async ({ url, seen }) => {
          const { order, warnings } = createShop(url, { onUnacknowledged: "refuse" });
          expect(await order.run(cart)).toMatchObject({ kind: "done", value: { id: 9 } });
          expect(seen.map(({ method, path, body }) => [method, path, body])).toEqual([
            ["POST", "/api/orders", '{"lines":["apple"]}'],
            ["GET", "/receipt", ""],
          ]);
          expect(warnings).toEqual([]);
        },
      );
    },
  );

  it("past an informational response", async () => {
    const early: Reply = (response, seen) => (
      response.writeEarlyHints({ link: "</a>; rel=preload" }),
      done(response, seen)
    );
    await withServer([early], async ({ url }) => {
      expect(await createShop(url).order.run(cart)).toMatchObject({ kind: "done", attempts: 1 });
    });
  });
});
