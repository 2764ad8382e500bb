import { Stream } from "node:stream";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

/** A stream as old libraries make them: it has `pipe` and events, and is not Node's `Readable`. */
function oldStream(): Stream {
  const stream = new Stream();
  setImmediate(() => {
    stream.emit("data", Buffer.from("made "));
    stream.emit("data", Buffer.from("elsewhere"));
    stream.emit("end");
  });
  return stream;
}

/** A `Response` whose class is not the global one, as a fetch library brings it. */
function foreignResponse(): unknown {
  const body = new Blob(["made elsewhere"]).stream();
  const headers = new Headers({ "content-type": "text/x" });
  return { [Symbol.toStringTag]: "Response", status: 202, headers, body, bodyUsed: false };
}

describe("a body of a kind that Fastify takes", () => {
  it.each([
    ["a stream of another library", oldStream, 200],
    ["a web Response of another library", foreignResponse, 202],
  ])("is stored and replayed: %s", async (_name, make, status) => {
    await withShop(
      { pool },
      (app) => {
        app.post("/open", async (_request, reply) => reply.send(make()));
        app.post("/do", { config: { idempotency: true } }, async (_request, reply) =>
          reply.send(make()),
        );
      },
      async ({ post }) => {
        const key = crypto.randomUUID();
        for (const answer of [
          await post("/open"),
          await post("/do", { key }),
          await post("/do", { key }),
        ]) {
          expect([answer.status, answer.text]).toEqual([status, "made elsewhere"]);
        }
      },
    );
  });
});
