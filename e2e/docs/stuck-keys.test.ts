/** The guide "A key is stuck", followed word by word after a server was killed in the middle of a charge. */
import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { chmod, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import type pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { freePort } from "@oncekey/test-support/processes/free-port";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { paste, SOURCES, startServer } from "./pasted.ts";
import type { PastedFolder, StartedServer } from "./pasted.ts";

const GUIDE = new URL("../../docs/guides/stuck-keys.md", import.meta.url);
const MAIN = new URL("../../server/src/cli/main.ts", import.meta.url).pathname;

const SERVER = `
import { idempotency, migrate } from "@oncekey/server";
import Fastify from "fastify";
import pg from "pg";

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL });
await migrate(pool);
const app = Fastify();
await app.register(idempotency, { pool, scope: () => "anna", recover: { everyMs: 100, afterMs: 0 } });
const provider = (method, key) => fetch(process.env.PROVIDER + key, { method });
const onCrash = async ({ deriveKey }) => {
  const { status } = await provider("GET", deriveKey("charge"));
  if (status >= 500) throw new Error("the provider is away");
  return status === 200 ? { status: 201, body: { paid: true } } : "rerun";
};
const config = { idempotency: { strategy: "lease", lease: { durationMs: 1_000, onCrash } } };
app.post("/orders/:id/pay", { config }, async (request, reply) => {
  const { step, deriveKey } = request.idempotency;
  await step("charge", async () => void (await provider("POST", deriveKey("charge"))));
  return reply.code(201).send({ paid: true });
});
await app.listen({ host: "127.0.0.1", port: Number(process.env.PORT) });
`;

/** Calls `oncekey` from its sources, for commands that begin with `npx oncekey`. */
const NPX = `#!/bin/sh
[ "$1" = oncekey ] && shift
exec '${process.execPath}' ${SOURCES} '${MAIN}' "$@"
`;

/** The other service. `loses`: the call does not arrive. `away`: it answers no question. */
const charges = new Map<string, number>();
let mood: "charges" | "loses" | "away" = "charges";
let onCharge = (): void => {};
const provider = createServer((request, response) => {
  const serve = (): void => {
    const key = (request.url ?? "").slice(1);
    if (request.method === "GET") {
      response.statusCode = mood === "away" ? 503 : charges.has(key) ? 200 : 404;
      response.end();
      return;
    }
    if (mood !== "loses") charges.set(key, (charges.get(key) ?? 0) + 1);
    // Answered by the second run only: the first dies in this moment.
    if (mood === "charges" && onCharge === goOn) response.end();
    onCharge();
  };
  void text(request).then(serve);
});
const goOn = (): void => {};

const database = withDatabase();
let pool: pg.Pool;
let folder: PastedFolder;
let page = "";
let port = 0;
let server: StartedServer | undefined;

beforeAll(async () => {
  pool = database.pool();
  page = await readFile(GUIDE, "utf8");
  folder = await paste({ "server.mjs": SERVER, npx: NPX });
  await chmod(join(folder.path, "npx"), 0o755);
  await new Promise<void>((resolve) => provider.listen(0, "127.0.0.1", resolve));
  port = await freePort();
});
beforeEach(() => {
  charges.clear();
  return pool.query("truncate oncekey.records, oncekey.decisions");
});
afterAll(async () => {
  await server?.stop();
  await folder.remove();
  provider.close();
});

async function start(): Promise<void> {
  server = await startServer(folder.path, [SOURCES, "server.mjs"], port, {
    DATABASE_URL: database.url,
    PROVIDER: `http://127.0.0.1:${(provider.address() as AddressInfo).port}/`,
    PORT: String(port),
  });
}

const pay = (key: string): Promise<Response> =>
  fetch(`http://127.0.0.1:${port}/orders/7/pay`, {
    method: "POST",
    headers: { "idempotency-key": key },
  });

/** Starts a server, sends a request, and kills the server with SIGKILL while the provider is called. */
async function killedWhileCharging(): Promise<string> {
  const key = randomUUID();
  await start();
  const called = new Promise<void>((resolve) => (onCharge = resolve));
  const request = pay(key).catch(() => undefined);
  await called;
  await server?.stop();
  await request;
  onCharge = goOn;
  return key;
}

/** Returns the commands under a heading of the page, as they stand there. */
function commandsOf(heading: string): string {
  const section = page.slice(page.indexOf(`${heading}\n`) + heading.length).split(/\n#{2,3} /)[0];
  const blocks = [...(section ?? "").matchAll(/^```sh\n([^]*?)^```$/gm)];
  return blocks.map(([, code = ""]) => code).join("");
}

/** The shell of the person who follows the page. It keeps its variables. */
function openShell() {
  const { hostname, port: at, username, password, pathname } = new URL(database.url);
  const env: NodeJS.ProcessEnv = {
    PATH: `${folder.path}:${process.env["PATH"]}`,
    PGHOST: hostname,
    PGPORT: at,
    PGUSER: username,
    PGPASSWORD: password,
    PGDATABASE: pathname.slice(1),
  };
  return {
    env,
    async run(commands: string): Promise<{ code: number; out: string }> {
      expect(commands).not.toBe("");
      const script = `exec 2>&1\n${commands}`;
      const ended = promisify(execFile)("sh", ["-c", script], { env });
      return ended.then(
        ({ stdout }) => ({ code: 0, out: stdout }),
        (error: { code: number; stdout: string }) => ({ code: error.code, out: error.stdout }),
      );
    },
  };
}

/** Follows steps 1 to 3. Returns the shell, and the derived key that the provider is asked by. */
async function followToTheQuestion(key: string) {
  const shell = openShell();
  const [find = "", copy = ""] = commandsOf("## 1. Find it").split(/^(?=export)/m);
  await expect.poll(async () => (await shell.run(find)).out, POLLS).toContain(key);
  const { out } = await shell.run(find);
  const [, found, scope, target] = /^(\S+) {2}(\S+) {2}(.+?): crashed/.exec(out) ?? [];
  expect([found, scope, target]).toEqual([key, "anna", "POST /orders/7/pay"]);
  // The reader puts the three into the line of the page.
  const names = [...copy.matchAll(/(\w+)='[^']*…'/g)].map(([, name = ""]) => name);
  expect(names).toEqual(["KEY", "SCOPE", "TARGET"]);
  Object.assign(shell.env, { KEY: found, SCOPE: scope, TARGET: target });
  const story = await shell.run(commandsOf("## 2. Look at its story"));
  expect(story).toMatchObject({ code: 0, out: expect.stringContaining("attempt      1") });
  expect(story.out).toContain("nothing to list");
  const [, derivedKey = ""] = /^derived key {2}(\S+)$/m.exec(story.out) ?? [];
  return { shell, derivedKey };
}

// A crash is noticed when the lease is over.
const POLLS = { timeout: 20_000, interval: 200 };
const LIMIT_MS = 120_000;

describe("the guide 'A key is stuck' after a SIGKILL in the middle of a charge", () => {
  it(
    "leads to the stored answer if the charge happened: the retry gets it, and nothing is charged again",
    async () => {
      mood = "charges";
      const key = await killedWhileCharging();
      const { shell, derivedKey } = await followToTheQuestion(key);
      expect(charges.get(derivedKey)).toBe(1);
      const resolved = await shell.run(commandsOf("### It happened"));
      expect(resolved).toMatchObject({ code: 0, out: expect.stringContaining("status 201") });
      const checked = await shell.run(commandsOf("## 5. Check"));
      expect(checked.code).toBe(0);
      expect(checked.out).toMatch(
        /resolved {2}\S+ POST \/orders\/7\/pay of anna by .*incident 4711/,
      );
      expect(checked.out).toContain("0 crashed left");
      await start();
      const retry = await pay(key);
      expect([retry.status, await retry.json()]).toEqual([201, { paid: true }]);
      expect(retry.headers.get("idempotent-replayed")).toBe("true");
      expect([...charges.values()]).toEqual([1]);
      await server?.stop();
    },
    LIMIT_MS,
  );

  it(
    "leads to a key that is free if the charge did not happen: the retry charges once",
    async () => {
      mood = "loses";
      const key = await killedWhileCharging();
      const { shell, derivedKey } = await followToTheQuestion(key);
      expect(charges.has(derivedKey)).toBe(false);
      const forgotten = await shell.run(commandsOf("### It did not happen"));
      expect(forgotten).toMatchObject({ code: 0, out: expect.stringContaining("deleted") });
      const checked = await shell.run(commandsOf("## 5. Check"));
      expect(checked.code).toBe(0);
      expect(checked.out).toMatch(
        /forgotten {2}\S+ POST \/orders\/7\/pay of anna by .*incident 4711/,
      );
      mood = "charges";
      await start();
      const retry = await pay(key);
      expect([retry.status, await retry.json()]).toEqual([201, { paid: true }]);
      expect([...charges.entries()]).toEqual([[derivedKey, 1]]);
      await server?.stop();
    },
    LIMIT_MS,
  );

  it(
    "lets a key finish by itself if the outcome is not known: crash recovery gets the answer once the provider is back",
    async () => {
      mood = "charges";
      const key = await killedWhileCharging();
      mood = "away";
      const { shell } = await followToTheQuestion(key);
      expect(commandsOf("### Not known")).toBe("");
      await start();
      const check = commandsOf("## 5. Check");
      // While onCrash is asked, the key counts as running.
      await expect.poll(async () => (await shell.run(check)).code, POLLS).toBe(1);
      expect((await pay(key)).status).toBe(500);
      mood = "charges";
      await expect.poll(async () => (await shell.run(check)).code, POLLS).toBe(0);
      expect((await shell.run(check)).out).toContain("by crash recovery: onCrash");
      const retry = await pay(key);
      expect([retry.status, await retry.json()]).toEqual([201, { paid: true }]);
      expect([...charges.values()]).toEqual([1]);
      await server?.stop();
    },
    LIMIT_MS,
  );
});
