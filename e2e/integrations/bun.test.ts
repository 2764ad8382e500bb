/** Both halves on Bun, from npm. */
import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { post, withOrders } from "./orders.ts";

const orders = withOrders();
const ARGS = ["--conditions=@oncekey/source"];
let server: ChildProcess | undefined;
let url = "";

/** Returns Bun's program, which npm has as a package for each platform. */
function findBun(): string {
  const bun = createRequire(import.meta.url).resolve("bun/package.json");
  const name = `@oven/bun-${process.platform}-${process.arch === "arm64" ? "aarch64" : process.arch}`;
  return join(dirname(createRequire(bun).resolve(`${name}/package.json`)), "bin/bun");
}

beforeAll(async () => {
  const child = spawn(findBun(), [...ARGS, join(import.meta.dirname, "bun-server.ts")], {
    env: { ...process.env, DATABASE_URL: orders().url },
    stdio: ["ignore", "pipe", "inherit"],
  });
  server = child;
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  url = `http://127.0.0.1:${line.replace("port ", "")}`;
});
afterAll(async () => {
  if (server === undefined || server.exitCode !== null) return;
  const ended = once(server, "exit");
  server.kill("SIGKILL");
  await ended;
});

describe("on Bun", () => {
  it("the server runs a handler once for its key, and replays its answer", async () => {
    const before = await orders().count();
    const first = await post(`${url}/orders`, "bun-1", { sku: "apple" });
    const again = await post(`${url}/orders`, "bun-1", { sku: "apple" });
    expect(first).toMatchObject({ status: 201, body: { id: expect.any(Number) } });
    expect(again).toEqual({ ...first, isReplayed: true });
    expect(await orders().count()).toBe(before + 1);
  });

  it("the server runs the handler once for requests that arrive together", async () => {
    const before = await orders().count();
    const all = Array.from({ length: 8 }, () => post(`${url}/orders`, "bun-2", { sku: "apple" }));
    const bodies = new Set((await Promise.all(all)).map(({ body }) => JSON.stringify(body)));
    expect(bodies.size).toBe(1);
    expect(await orders().count()).toBe(before + 1);
  });

  it("the server keeps no write of a handler that failed", async () => {
    const before = await orders().count();
    expect((await post(`${url}/orders`, "bun-3", { sku: "broken" })).status).toBe(500);
    expect(await orders().count()).toBe(before);
  });

  it("the server commits the last writes of a lease route with its answer", async () => {
    const before = await orders().count();
    const first = await post(`${url}/leased`, "bun-4", { sku: "apple" });
    const again = await post(`${url}/leased`, "bun-4", { sku: "apple" });
    expect(again).toEqual({ ...first, isReplayed: true });
    expect(await orders().count()).toBe(before + 1);
  });

  it("the client pays once although the first reply is lost", async () => {
    const before = await orders().count();
    const folder = await mkdtemp(join(tmpdir(), "bun-client-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const script = join(import.meta.dirname, "bun-client.ts");
    const { stdout } = await promisify(execFile)(findBun(), [...ARGS, script, url, folder]);
    expect(JSON.parse(stdout)).toEqual({ kind: "done", attempts: 2, replayed: true });
    expect(await orders().count()).toBe(before + 1);
  });
});
