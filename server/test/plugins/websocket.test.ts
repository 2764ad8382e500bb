import websocket from "@fastify/websocket";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { PLACES, withNeighbour } from "./with-plugin.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

describe.each(PLACES)("@fastify/websocket %s", (place) => {
  it("keeps its sockets, and protected routes beside them keep their keys", async () => {
    await withNeighbour(
      place,
      {
        options: { pool, global: true },
        neighbour: (app) => app.register(websocket),
        routes: (app) => {
          app.get("/live", { websocket: true }, (socket) => {
            socket.on("message", (message: Buffer) => socket.send(`heard ${message.toString()}`));
          });
          app.post("/do", async () => ({ at: process.hrtime.bigint().toString() }));
        },
      },
      async ({ url, post }) => {
        expect(await ask(`${url.replace("http:", "ws:")}/live`, "hello")).toBe("heard hello");
        const key = crypto.randomUUID();
        const [first, again] = [await post("/do", { key }), await post("/do", { key })];
        expect(again.text).toBe(first.text);
        expect(again.headers.get("idempotent-replayed")).toBe("true");
        expect((await post("/do")).status).toBe(400);
      },
    );
  });
});

async function ask(url: string, message: string): Promise<unknown> {
  const socket = new WebSocket(url);
  const answer = Promise.withResolvers<unknown>();
  socket.addEventListener("open", () => socket.send(message));
  socket.addEventListener("message", ({ data }) => answer.resolve(data));
  socket.addEventListener("error", () => answer.reject(new Error(`no socket at ${url}`)));
  try {
    return await answer.promise;
  } finally {
    socket.close();
  }
}
