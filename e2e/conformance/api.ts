/** One API over two servers: the real one on Postgres, and the model that users' tests run against. */
import { idempotency } from "@oncekey/server";
import type { IdempotencyOptions } from "@oncekey/server";
import { createModelServer } from "@oncekey/client/testing";
import type { Asked, ModelServer, ModelServerOptions } from "@oncekey/client/testing";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type { Pool } from "pg";

export interface Call {
  readonly path: string;
  readonly key?: string;
  readonly method?: "POST" | "PATCH";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Visible parts of an answer, without those that may differ between two runs of one server. */
export interface Seen {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

export interface Api {
  readonly call: (call: Call) => Promise<Seen>;
  /** Lets the handlers of `/held` go on; resolves `isHeld` once one of them has begun. */
  readonly gate: Gate;
  /** Returns how often a handler has run. */
  readonly ran: () => number;
}

export interface Gate {
  readonly isHeld: Promise<void>;
  readonly open: () => void;
}

interface Work {
  readonly answer: (path: string) => Promise<Handled>;
  readonly gate: Gate;
  readonly ran: () => number;
}

interface Handled {
  readonly status: number;
  readonly body: object | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/** Creates the handlers of both servers. */
function createWork(): Work {
  const held = Promise.withResolvers<void>();
  const opened = Promise.withResolvers<void>();
  let runs = 0;
  let failures = 0;
  const gate = { isHeld: held.promise, open: () => opened.resolve() };
  async function answer(path: string): Promise<Handled> {
    runs += 1;
    if (path.endsWith("/declined")) return { status: 402, body: { error: "no" }, headers: {} };
    if (path.endsWith("/unauthorized")) return { status: 401, body: { error: "who" }, headers: {} };
    if (path.endsWith("/broken") && failures === 0) {
      failures += 1;
      return { status: 500, body: { error: "broken" }, headers: {} };
    }
    if (path.endsWith("/held")) {
      held.resolve();
      await opened.promise;
    }
    if (path.endsWith("/empty")) return { status: 204, body: undefined, headers: {} };
    const headers = { location: `/orders/${runs}`, "x-live": "yes", "set-cookie": "a=b" };
    return { status: 201, body: { id: runs }, headers };
  }
  return { answer, gate, ran: () => runs };
}

export const PATHS: readonly string[] = [
  "/orders",
  "/declined",
  "/unauthorized",
  "/broken",
  "/held",
  "/empty",
];

/** The real server, on a socket. */
export async function withServer<Result>(
  pool: Pool,
  options: Partial<IdempotencyOptions>,
  use: (api: Api, app: FastifyInstance) => Promise<Result>,
): Promise<Result> {
  const { answer, gate, ran } = createWork();
  const app = Fastify({ forceCloseConnections: true });
  try {
    await app.register(idempotency, { pool, scope: "single-tenant", ...options });
    for (const url of PATHS) {
      app.route({
        url,
        method: ["POST", "PATCH"],
        config: { idempotency: true },
        handler: async (request, reply) => {
          const { status, body, headers } = await answer(request.url.split("?", 1)[0] ?? "");
          return reply.code(status).headers(headers).send(body);
        },
      });
    }
    const origin = await app.listen({ host: "127.0.0.1", port: 0 });
    const call = async (one: Call): Promise<Seen> => see(await fetch(toRequest(origin, one)));
    return await use({ call, gate, ran }, app);
  } finally {
    gate.open();
    await app.close();
  }
}

/** The model server, called as msw calls it. */
export async function withModel<Result>(
  options: ModelServerOptions,
  use: (api: Api, model: ModelServer) => Promise<Result>,
): Promise<Result> {
  const { answer, gate, ran } = createWork();
  const model = createModelServer(options);
  const resolve = model.protect<Asked>(async ({ request }) => {
    const { status, body, headers } = await answer(new URL(request.url).pathname);
    if (body === undefined) return new Response(null, { status, headers });
    const type = { "content-type": "application/json; charset=utf-8" };
    return Response.json(body, { status, headers: { ...headers, ...type } });
  });
  const call = async (one: Call): Promise<Seen> =>
    see(await resolve({ request: toRequest("https://shop.example", one) }));
  try {
    return await use({ call, gate, ran }, model);
  } finally {
    gate.open();
  }
}

function toRequest(origin: string, { path, key, method = "POST", headers, body }: Call): Request {
  return new Request(`${origin}${path}`, {
    method,
    headers: {
      ...(key === undefined ? {} : { "idempotency-key": key }),
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(body === undefined ? {} : { body }),
  });
}

const COMPARED = [
  "idempotency-key",
  "idempotent-replayed",
  "idempotency-mismatch",
  "idempotency-key-lifetime",
  "retry-after",
  "cache-control",
  "content-type",
  "location",
  "x-live",
  "set-cookie",
];

async function see(response: Response): Promise<Seen> {
  const text = await response.text();
  const found = COMPARED.flatMap((name) => {
    const value = response.headers.get(name);
    if (value === null) return [];
    // The one of them that runs: seconds go by between two answers.
    return name.endsWith("lifetime") ? [[name, roundUp(value)]] : [[name, value]];
  });
  const body: unknown = text === "" ? undefined : JSON.parse(text);
  return { status: response.status, headers: Object.fromEntries(found) as Seen["headers"], body };
}

function roundUp(seconds: string): string {
  const minutes = Math.ceil(Number(seconds) / 60);
  return `${minutes} minutes`;
}
