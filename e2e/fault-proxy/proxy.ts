/** Stands in front of the servers and does to each request what its fault header asks for. */
import { request as open } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { FAULT_HEADER, parseFault, SERVER_HEADER } from "./fault.ts";
import type { Fault } from "./fault.ts";

/** A server process that requests can be sent to, and that can be killed. */
export interface Upstream {
  /** Name in the output. */
  readonly name: string;
  readonly port: number;
  /** SIGKILL. */
  kill(): void;
}

export interface FaultProxyOptions {
  /** The next server to use; waits while none is up. */
  readonly next: () => Promise<Upstream>;
  /**
   * Time for which `delay` holds a finished reply. Default 4 s: longer than the demo's clients wait
   * for one attempt.
   */
  readonly delayMs?: number | undefined;
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

export type Handler = (request: IncomingMessage, response: ServerResponse) => Promise<void>;

/** A handler for `node:http`. Every request but one with `sign-in` reaches a server; what varies is when that server dies and what comes back. */
export function createFaultProxy({ next, delayMs = 4_000 }: FaultProxyOptions): Handler {
  return async (request, response) => {
    const fault = parseFault(request.headers[FAULT_HEADER]?.toString());
    const body = await buffer(request);
    if (fault?.kind === "sign-in") {
      response.writeHead(302, { location: "/login.html" }).end();
      return;
    }
    const server = await next();
    const early =
      fault?.kind === "kill-server" && fault.afterMs !== undefined
        ? setTimeout(() => server.kill(), fault.afterMs)
        : undefined;
    try {
      const reply = await forward(server, request, response, body);
      await deliver(reply, response, { fault, server, delayMs });
    } catch {
      // The server died under the request: its caller sees a dead connection too.
      response.destroy();
    } finally {
      clearTimeout(early);
    }
  };
}

interface Delivery {
  readonly fault: Fault | undefined;
  readonly server: Upstream;
  readonly delayMs: number;
}

// When the reply is here the server has committed, whatever becomes of the reply.
async function deliver(
  reply: Reply,
  response: ServerResponse,
  { fault, server, delayMs }: Delivery,
): Promise<void> {
  switch (fault?.kind) {
    case undefined:
      return send(reply, response, server);
    case "drop-reply":
      response.destroy();
      return undefined;
    case "cut-body":
      return cutBody(reply, response, server);
    case "delay":
      await sleep(delayMs, undefined, { ref: false });
      return send(reply, response, server);
    case "answer-503":
      return answer503(response);
    case "sign-in":
      throw new Error("a request that is redirected reaches no server");
    case "kill-server":
      if (fault.afterMs !== undefined) return send(reply, response, server);
      server.kill();
      response.destroy();
      return undefined;
    default:
      return fault satisfies never;
  }
}

function forward(
  server: Upstream,
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
): Promise<Reply> {
  const { [FAULT_HEADER]: _fault, connection: _connection, ...headers } = request.headers;
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  // No agent: a kept connection to a killed server would fail requests without a planned fault.
  const options = { host: "127.0.0.1", port: server.port, agent: false, headers };
  const upstream = open(
    { ...options, method: request.method, path: request.url },
    (incoming: IncomingMessage) => {
      buffer(incoming).then(
        (bytes) =>
          resolve({ status: incoming.statusCode ?? 502, headers: incoming.headers, body: bytes }),
        reject,
      );
    },
  );
  upstream.once("error", reject);
  // As gateways do: a server must learn that its caller has gone, or a reply that never ends keeps its key for good.
  const hangUp = (): void => void upstream.destroy(new Error("the caller hung up"));
  if (response.closed) hangUp();
  response.once("close", hangUp);
  upstream.end(body);
  return promise.finally(() => response.off("close", hangUp));
}

function send(reply: Reply, response: ServerResponse, server: Upstream): void {
  writeHead(reply, response, server);
  response.end(reply.body);
}

function cutBody(reply: Reply, response: ServerResponse, server: Upstream): void {
  writeHead(reply, response, server);
  const half = reply.body.subarray(0, reply.body.length / 2);
  response.write(half, () => response.destroy());
}

function writeHead({ status, headers, body }: Reply, response: ServerResponse, server: Upstream) {
  const { connection: _connection, "transfer-encoding": _encoding, ...kept } = headers;
  response.writeHead(status, {
    ...kept,
    "content-length": body.length,
    [SERVER_HEADER]: server.name,
  });
}

function answer503(response: ServerResponse): void {
  const body = JSON.stringify({ error: "The gateway gave up on the server" });
  response.writeHead(503, { "content-type": "application/json" });
  response.end(body);
}
