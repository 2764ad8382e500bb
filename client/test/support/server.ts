/** A real server on a socket that answers by a script and records what it got. */
import http from "node:http";
import type { AddressInfo } from "node:net";

export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly key: string | undefined;
  readonly body: string;
  readonly headers: http.IncomingHttpHeaders;
}

/** Answers one request. The response may be cut, reset, or never ended. */
export type Reply = (response: http.ServerResponse, seen: Seen) => unknown;

export interface ScriptedServer {
  readonly url: string;
  readonly seen: readonly Seen[];
}

/** Runs `use` against a server whose first request is answered by the first reply, and so on; the last one repeats. */
export async function withServer(
  replies: readonly Reply[],
  use: (server: ScriptedServer) => Promise<void>,
): Promise<void> {
  const seen: Seen[] = [];
  const server = http.createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      body += chunk;
    });
    request.on("end", () => {
      const { method = "", url: path = "", headers } = request;
      const key = headers["idempotency-key"];
      const one: Seen = { method, path, key: Array.isArray(key) ? key.join() : key, body, headers };
      seen.push(one);
      replies[Math.min(seen.length, replies.length) - 1]?.(response, one);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await use({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/`, seen });
  } finally {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

/** A JSON answer that echoes the key, as a protected route does. */
export function json(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return (response, { key }) => {
    response.writeHead(status, {
      "content-type": "application/json",
      ...(key === undefined ? {} : { "idempotency-key": key }),
      ...headers,
    });
    response.end(body === undefined ? undefined : JSON.stringify(body));
  };
}

export function problem(
  status: number,
  code: string,
  headers: Record<string, string> = {},
  more: object = {},
): Reply {
  return json(status, { code, status, title: code, detail: code, ...more }, headers);
}

export const done: Reply = json(201, { id: 1 });
export const reset: Reply = (response) => response.destroy();
export const cut: Reply = (response) => {
  response.writeHead(201, { "content-type": "application/json", "content-length": "100" });
  response.write('{"id":');
  setTimeout(() => response.destroy(), 5);
};
