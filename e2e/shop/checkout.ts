/** Two servers of the shop, the fault proxy before them, and pages. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { migrate } from "@oncekey/server";
import { Pool } from "pg";
import { createFaultProxy } from "../fault-proxy/proxy.ts";
import type { Handler } from "../fault-proxy/proxy.ts";
import { countCharges } from "./charges.ts";
import type { PageFile } from "./page-files.ts";
import { startServers } from "./servers.ts";
import { shopperOf, signIn } from "./shopper.ts";
import { createTables } from "./shop.ts";
import type { Count } from "./wire.ts";

export interface Checkout {
  /** `http://127.0.0.1:PORT`: the page; the shop behind the proxy is under `/api/`. */
  readonly origin: string;
  readonly countCharges: (shopper: string) => Promise<Count[]>;
  /** Resolves when both servers are up, after kills too. */
  readonly ready: () => Promise<unknown>;
  readonly stop: () => Promise<void>;
}

export interface CheckoutOptions {
  /** Connection string of a database of its own. */
  readonly databaseUrl: string;
  /** The port to try first. Default: any free one. */
  readonly port?: number;
  /**
   * Time for which the fault `delay` holds a reply, in ms. Default 4_000: longer than the pages
   * wait for one attempt.
   */
  readonly delayMs?: number | undefined;
  /** Served files, by path. Default: none. */
  readonly files?: ReadonlyMap<string, PageFile> | undefined;
}

const API = "/api";
const CHARGES = "/demo/charges";

export async function startCheckout(options: CheckoutOptions): Promise<Checkout> {
  const { databaseUrl, port = 0, delayMs, files = new Map() } = options;
  const pool = new Pool({ connectionString: databaseUrl, max: 4 });
  pool.on("error", () => undefined);
  await migrate(pool);
  await createTables(pool);
  const servers = await startServers(["A", "B"], databaseUrl, {
    script: new URL("shop-server.ts", import.meta.url),
    isRestarted: true,
  });
  const proxy = createFaultProxy({ next: servers.next, delayMs });
  const server = createServer((request, response) => {
    route({ request, response, pool, page: files, proxy }).catch(() => response.destroy());
  });
  // A browser sends a POST again by itself when a connection that it kept dies under it. Here, attempts are counted.
  server.maxRequestsPerSocket = 1;
  return {
    origin: `http://127.0.0.1:${await listen(server, port)}`,
    countCharges: (shopper) => countCharges(pool, shopper),
    ready: servers.ready,
    async stop() {
      server.close();
      server.closeAllConnections();
      await servers.stop();
      await pool.end();
    },
  };
}

interface Visit {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly pool: Pool;
  readonly page: ReadonlyMap<string, PageFile>;
  readonly proxy: Handler;
}

async function route({ request, response, pool, page, proxy }: Visit): Promise<void> {
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  if (path.startsWith(`${API}/`)) {
    request.url = request.url?.slice(API.length);
    return proxy(request, response);
  }
  const shopper = shopperOf(request.headers.cookie);
  if (path === CHARGES) {
    const counts = await countCharges(pool, shopper ?? "");
    response.writeHead(200, { "content-type": "application/json", "cache-control": "no-store" });
    response.end(JSON.stringify(counts));
    return undefined;
  }
  const file = page.get(path);
  if (file === undefined) {
    response.writeHead(404, { "content-type": "text/plain" }).end("Not found");
    return undefined;
  }
  if (shopper === undefined) response.setHeader("set-cookie", signIn());
  response.writeHead(200, { "content-type": file.type });
  response.end(file.content);
  return undefined;
}

/** If the port is busy, takes any free one. */
async function listen(server: Server, port: number): Promise<number> {
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EADDRINUSE")) throw error;
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  }
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}
