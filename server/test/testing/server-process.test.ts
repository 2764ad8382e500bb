import { once } from "node:events";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { startServer } from "../../src/testing/server-process.ts";

// Asks the test before it listens.
const SERVER = `
  import { createServer } from "node:http";
  const { PORT, ASKED } = process.env;
  await fetch(ASKED + PORT);
  createServer((request, response) => response.end("the server")).listen(Number(PORT), "127.0.0.1");
`;

describe("the server under test", () => {
  it("gets another port if another process takes the first one before it listens", async () => {
    const ports: number[] = [];
    const asked = await listen(0, async (path) => {
      const port = Number(path.slice(1));
      ports.push(port);
      if (ports.length === 1) await listen(port, async () => "another process");
      return "";
    });
    const server = await startServer(
      {
        command: [process.execPath, "--input-type=module", "--eval", SERVER],
        env: { ASKED: `http://127.0.0.1:${asked}/` },
      },
      undefined,
    );
    onTestFinished(() => server.stop());
    expect(ports).toHaveLength(2);
    expect(server.origin).toBe(`http://127.0.0.1:${ports[1]}`);
    expect(await (await fetch(server.origin)).text()).toBe("the server");
  });
});

/** Starts a server that closes with the test, and returns its port. */
async function listen(port: number, answer: (path: string) => Promise<string>): Promise<number> {
  const server: Server = createServer((request, response) => {
    void answer(request.url ?? "").then((text) => response.end(text));
  }).listen(port, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}
