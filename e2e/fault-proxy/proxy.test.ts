import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import { createFaultProxy } from "./proxy.ts";

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

async function listen(server: Server): Promise<number> {
  servers.push(server);
  await once(server.listen(0, "127.0.0.1"), "listening");
  return (server.address() as AddressInfo).port;
}

test("a caller that hangs up ends its request at the server, although the reply never would", async () => {
  const { promise: begun, resolve: begin } = Promise.withResolvers<undefined>();
  const { promise: closed, resolve: close } = Promise.withResolvers<undefined>();
  const port = await listen(
    createServer((_, response) => {
      response.once("close", () => close(undefined));
      response.write("half", () => begin(undefined));
    }),
  );
  const upstream = { name: "A", port, kill: () => undefined };
  const handle = createFaultProxy({ next: async () => upstream });
  const proxy = await listen(createServer((request, response) => void handle(request, response)));
  const caller = new AbortController();
  const asking = fetch(`http://127.0.0.1:${proxy}/`, { method: "POST", signal: caller.signal });
  await begun;
  caller.abort();
  await expect(asking).rejects.toThrow("aborted");
  await closed;
});
