/** No caller and no handler keeps a connection for longer than `maxHandlerMs`. */
import { once } from "node:events";
import http2 from "node:http2";
import net from "node:net";
import { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { idempotency } from "@oncekey/server";
import type { IdempotencyOptions } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { watchCallers } from "../support/callers.ts";
import type { Callers } from "../support/callers.ts";
import { createGate } from "../support/gate.ts";
import type { Gate } from "../support/gate.ts";
import { countPayments, createPayments, post } from "../support/shop.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(async () => {
  pool = database.pool();
  await createPayments(pool);
});

const MAX_MS = 200;
const sessions = new Set<http2.ClientHttp2Session>();
const NEVER = new Promise<never>(() => {});

interface Server {
  readonly app: FastifyInstance;
  readonly callers: Callers;
  readonly url: string;
  readonly logged: () => string;
}

async function withServer(
  options: Partial<IdempotencyOptions> & { readonly pool: pg.Pool },
  routes: (app: FastifyInstance) => void,
  use: (server: Server) => Promise<void>,
  isHttp2 = false,
): Promise<void> {
  const lines: string[] = [];
  const logger = { level: "error", stream: { write: (line: string) => void lines.push(line) } };
  const app = (
    isHttp2 ? Fastify({ http2: true, logger }) : Fastify({ forceCloseConnections: true, logger })
  ) as FastifyInstance;
  try {
    const defaults = { scope: "single-tenant", replayCache: false, maxHandlerMs: MAX_MS } as const;
    await app.register(idempotency, { ...defaults, sweep: false, ...options });
    const callers = watchCallers(app);
    routes(app);
    const url = await app.listen({ host: "127.0.0.1", port: 0 });
    await use({ app, callers, url, logged: () => lines.join("") });
  } finally {
    for (const session of sessions) session.destroy();
    sessions.clear();
    await app.close();
  }
}

/** Sends a request that is never answered, and returns what hangs it up. */
async function call(url: string, path: string, key: string, isHttp2: boolean): Promise<() => void> {
  const headers = { "idempotency-key": key, "content-length": "0" };
  if (!isHttp2) {
    const { hostname, port } = new URL(url);
    const socket = net.connect(Number(port), hostname);
    socket.on("error", () => {});
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
    socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\n${lines.join("")}\r\n`);
    return () => socket.destroy();
  }
  const session = http2.connect(url);
  session.on("error", () => {});
  sessions.add(session);
  const stream = session.request({ ":method": "POST", ":path": path, ...headers });
  stream.on("error", () => {});
  await once(session, "connect");
  return () => {
    // The stream alone: the connection stays, as a browser's does.
    stream.close(http2.constants.NGHTTP2_CANCEL);
  };
}

function stalled(): Readable {
  let isBegun = false;
  return new Readable({
    read() {
      if (!isBegun) this.push("begun");
      isBegun = true;
    },
  });
}

type Style = (request: FastifyRequest, reply: FastifyReply, gate: Gate) => unknown;

// `gate` opens when the callers have gone.
const STYLES: Readonly<Record<string, Style>> = {
  "a handler that never settles": (_request, _reply, gate) => gate.pass().then(() => NEVER),
  "a handler that replies from a callback it never calls": (_request, _reply, gate) =>
    void gate.pass(),
  "a reply stream that stalls": (_request, reply, gate) => {
    void gate.pass();
    return reply.send(stalled());
  },
  "a reply stream that begins when its caller has gone": async (_request, reply, gate) => {
    await gate.pass();
    return reply.send(stalled());
  },
  "an async iterator that stalls": (_request, reply, gate) => {
    void gate.pass();
    return reply.send(
      Readable.from(
        (async function* events() {
          yield "begun";
          await NEVER;
        })(),
      ),
    );
  },
  "a web stream that stalls": async (_request, _reply, gate) => {
    void gate.pass();
    return new Response(new ReadableStream({ start: (to) => to.enqueue(Buffer.from("begun")) }));
  },
  "an event stream written by hand": (_request, reply, gate) => {
    reply.raw.writeHead(200, { "content-type": "text/event-stream" });
    reply.raw.write("data: 1\n\n");
    return gate.pass().then(() => NEVER);
  },
  "a reply that is hijacked": (_request, reply, gate) => {
    reply.hijack();
    reply.raw.write("data: 1\n\n");
    return gate.pass().then(() => NEVER);
  },
  "a reply that is hijacked when its caller has gone": async (_request, reply, gate) => {
    await gate.pass();
    reply.hijack();
    return NEVER;
  },
};

describe.each([
  ["HTTP/1.1", false],
  ["HTTP/2", true],
])("over %s, callers that hang up on", (protocol, isHttp2) => {
  it.each(Object.entries(STYLES))(
    "%s give every connection and slot of the pool back",
    async (name, style) => {
      const gate = createGate();
      const small = database.pool({ max: 4, connectionTimeoutMillis: 10_000 });
      await withServer(
        { pool: small },
        (app) => {
          app.post("/hang", { config: { idempotency: true } }, (request, reply) =>
            style(request, reply, gate),
          );
          // Its own time is long, so that a busy machine does not end it.
          const patient = { config: { idempotency: { maxHandlerMs: 60_000 } } };
          app.post("/pay", patient, async (request) => {
            await request.idempotency.tx.query("select 1");
            return "paid";
          });
        },
        async ({ app, callers, url }) => {
          const key = `${protocol} ${name}`.replaceAll(/[^\w]+/g, "-");
          const hangUps = await Promise.all(
            [1, 2, 3].map((caller) => call(url, "/hang", `${key}-${caller}`, isHttp2)),
          );
          while (gate.passed() < 3) await small.query("select 1");
          for (const hangUp of hangUps) hangUp();
          await callers.gone(3);
          gate.open();
          const paid = await Promise.all(
            [1, 2, 3].map((payment) =>
              app.inject({
                method: "POST",
                url: "/pay",
                headers: { "idempotency-key": `${key}-pay-${payment}` },
              }),
            ),
          );
          expect(paid.map(({ body }) => body)).toEqual(["paid", "paid", "paid"]);
          await small.end();
        },
        isHttp2,
      );
    },
  );
});

describe("a caller that waits for a handler past maxHandlerMs", () => {
  const INSERT = "insert into payments (amount) values (1)";

  it.each<[string, (request: FastifyRequest, reply: FastifyReply) => unknown]>([
    ["never settles", () => NEVER],
    ["waits for a statement", ({ idempotency: { tx } }) => tx.query("select pg_sleep(50)")],
    ["streams without end", (_request, reply) => reply.header("location", "/x").send(stalled())],
    ["runs without a key", () => NEVER],
  ])("gets 503, and nothing is kept: it %s", async (name, handler) => {
    const before = await countPayments(pool);
    let reason: unknown;
    let runs = 0;
    await withServer(
      { pool, required: false },
      (app) =>
        app.post("/hang", { config: { idempotency: true } }, async (request, reply) => {
          runs += 1;
          await request.idempotency.tx.query(INSERT);
          if (runs > 1) return "done";
          const { signal } = request.idempotency;
          signal.addEventListener("abort", () => (reason = signal.reason));
          return handler(request, reply);
        }),
      async ({ url, logged }) => {
        const key = name === "runs without a key" ? undefined : name.replaceAll(" ", "-");
        const answer = await post(url, "/hang", { key });
        expect(answer.status).toBe(503);
        expect(answer.headers.get("location")).toBeNull();
        expect(answer.headers.get("retry-after")).toBe("1");
        expect(answer.json()).toMatchObject({
          code: "idempotency_unavailable",
          retryable: true,
          detail: `The handler did not finish within ${MAX_MS} ms; nothing was kept of this request`,
        });
        expect(String(reason)).toContain("maxHandlerMs");
        expect(logged()).toContain("the handler did not finish within maxHandlerMs");
        expect(await countPayments(pool)).toBe(before);
        const busy = async (): Promise<unknown> => {
          const { rows } = await pool.query(
            "select query from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'",
          );
          return rows;
        };
        await expect.poll(busy).toEqual([]);
        expect((await post(url, "/hang", { key })).text).toBe("done");
        expect(await countPayments(pool)).toBe(before + 1);
      },
    );
  });

  it("does not get what the handler still sends, and its late queries reject", async () => {
    const expired = createGate();
    const late = Promise.withResolvers<unknown>();
    await withServer(
      { pool },
      (app) =>
        app.post("/late", { config: { idempotency: true } }, async (request, reply) => {
          request.idempotency.signal.addEventListener("abort", () => expired.open());
          await expired.pass();
          late.resolve(await request.idempotency.tx.query(INSERT).catch((error: unknown) => error));
          return reply.code(201).send("late");
        }),
      async ({ url, logged }) => {
        const before = await countPayments(pool);
        expect((await post(url, "/late", { key: "late" })).status).toBe(503);
        expect(String(await late.promise)).toContain("after its transaction had ended");
        await expect.poll(logged).toContain("its reply is dropped");
        expect(await countPayments(pool)).toBe(before);
      },
    );
  });

  it("finds the cause in the log if the handler waits for a row that its own tx has locked", async () => {
    const ended = createGate();
    await withServer(
      { pool },
      (app) =>
        app.post("/forgot", { config: { idempotency: true } }, async (request) => {
          const { rows } = await request.idempotency.tx.query<{ id: number }>(
            "insert into payments (amount) values (1) returning id",
          );
          await request.idempotency.tx.query("lock table payments in exclusive mode");
          await pool.query("update payments set amount = 4711 where id = $1", [rows[0]?.id]);
          void ended.pass();
          return "done";
        }),
      async ({ url, logged }) => {
        expect((await post(url, "/forgot", { key: "forgot" })).status).toBe(503);
        expect(logged()).toContain("waited for a row that tx had locked; write it through tx");
        expect(logged()).toContain("update payments set amount = ? where id = ");
        expect(logged()).not.toContain("4711");
        await ended.reached;
      },
    );
  });
});

describe("under lease, maxHandlerMs", () => {
  const lease = { strategy: "lease", lease: { onCrash: "fail" } } as const;

  it.each(["a reply stream that stalls", "a reply stream that begins when its caller has gone"])(
    "closes %s when its caller has gone, and the retry is decided by onCrash",
    async (name) => {
      const gate = createGate();
      let closed: Promise<unknown> | undefined;
      await withServer(
        { pool, ...lease },
        (app) =>
          app.post("/hang", { config: { idempotency: true } }, async (_request, reply) => {
            const stream = stalled();
            closed = once(stream, "close");
            if (name.includes("begins")) await gate.pass();
            else void gate.pass();
            return reply.send(stream);
          }),
        async ({ callers, url }) => {
          const key = name.replaceAll(" ", "-");
          const hangUp = await call(url, "/hang", key, false);
          await gate.reached;
          hangUp();
          await callers.gone(1);
          gate.open();
          await closed;
          const retried = async (): Promise<unknown> =>
            (await post(url, "/hang", { key })).json()["code"];
          await expect.poll(retried).toBe("idempotency_outcome_unknown");
        },
      );
    },
  );

  it.each(["before", "after"])(
    "ends a reply that was hijacked %s its caller had gone",
    async (when) => {
      const gate = createGate();
      await withServer(
        { pool, ...lease },
        (app) =>
          app.post("/hang", { config: { idempotency: true } }, async (_request, reply) => {
            if (when === "before") reply.hijack();
            await gate.pass();
            if (when === "after") reply.hijack();
            return NEVER;
          }),
        async ({ callers, url }) => {
          const hangUp = await call(url, "/hang", when, false);
          await gate.reached;
          hangUp();
          await callers.gone(1);
          gate.open();
          const retried = async (): Promise<unknown> =>
            (await post(url, "/hang", { key: when })).json()["code"];
          await expect.poll(retried).toBe("idempotency_outcome_unknown");
        },
      );
    },
  );

  it("ends a second commit() after a first one that failed, however long ago", async () => {
    await withServer(
      { pool, ...lease },
      (app) =>
        app.post(
          "/hang",
          { config: { idempotency: true } },
          async ({ idempotency: { commit } }) => {
            await commit(() => Promise.reject(new Error("planned"))).catch(() => {});
            // Set after the timer of the first commit(), and as long: it fires after it.
            await sleep(MAX_MS);
            await commit(() => {});
            return NEVER;
          },
        ),
      async ({ url }) => {
        const answer = await post(url, "/hang", { key: "second-commit" });
        expect(answer.json()["code"]).toBe("idempotency_unavailable");
        expect(pool.totalCount - pool.idleCount).toBe(0);
      },
    );
  });

  it("does not end a handler whose caller waits, nor one that has not replied yet", async () => {
    await withServer(
      { pool, ...lease, maxHandlerMs: 100 },
      (app) =>
        app.post("/slow", { config: { idempotency: true } }, async () => {
          await new Promise((resolve) => void setTimeout(resolve, 300));
          return "slow";
        }),
      async ({ url }) => {
        expect((await post(url, "/slow", { key: "slow" })).text).toBe("slow");
      },
    );
  });
});
