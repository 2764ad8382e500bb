/** A new user: installs the packed packages into empty folders and runs the README's examples and the created shop. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { byDepth } from "@oncekey/test-support/lanes/depth";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { freePort } from "@oncekey/test-support/processes/free-port";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { packAll } from "../../scripts/packages.ts";
import { blocksOf, startServer } from "../docs/pasted.ts";

const run = promisify(execFile);
// Downloads and builds, on a busy machine.
const INSTALL_MS = 400_000;
const QUIET = ["--no-audit", "--no-fund"];
const README = new URL("../../README.md", import.meta.url);

// Node finds packages in yarn's archives by these. The loader reads no TypeScript, so that the examples are compiled.
const PLUG_AND_PLAY = ["--require", "./.pnp.cjs", "--experimental-loader", "./.pnp.loader.mjs"];
const STRICT = ["--strict", "--module", "nodenext", "--target", "es2024"];
const CHECKED = [...STRICT, "--types", "node", "server.mts", "client.mts"];

describe.runIf(byDepth(false, true))("a new user (in test:deep)", () => {
  const database = withDatabase({ from: "empty" });
  let folder = "";
  const tarballs: Record<string, string> = {};
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "new-user-"));
    for (const { folder: name, tarball } of await packAll(folder)) tarballs[name] = tarball;
  }, INSTALL_MS);
  afterAll(() => rm(folder, { recursive: true }));

  /** Runs npm under the Node of this run. */
  async function npm(cwd: string, ...args: readonly string[]): Promise<void> {
    const PATH = `${dirname(process.execPath)}:${process.env["PATH"]}`;
    await run("npm", [...args], { cwd, env: { ...process.env, PATH } });
  }

  /** Writes both examples of the README, and returns the port of their server. */
  async function pasteReadme(project: string): Promise<number> {
    const port = await freePort();
    const [serverCode = "", clientCode = ""] = blocksOf(await readFile(README, "utf8"));
    const onPort = (code: string): string => code.replaceAll("3000", String(port));
    await writeFile(join(project, "server.mts"), onPort(serverCode));
    await writeFile(join(project, "client.mts"), onPort(clientCode));
    return port;
  }

  /** Starts the server of the README, runs its client, and returns the client's output. */
  async function runReadme(
    project: string,
    port: number,
    type: "mts" | "mjs" = "mts",
    args: readonly string[] = [],
  ): Promise<string> {
    await database.pool({ max: 1 }).query("drop table if exists orders");
    const environment = { DATABASE_URL: database.url };
    const started = await startServer(project, [...args, `server.${type}`], port, environment);
    onTestFinished(started.stop);
    const { stdout } = await run(process.execPath, [...args, `client.${type}`], { cwd: project });
    return stdout;
  }

  it(
    "runs both examples of the README with npm, compiled by the strict rules",
    { timeout: INSTALL_MS },
    async () => {
      const project = join(folder, "readme");
      await mkdir(project);
      const { shared = "", server = "", client = "" } = tarballs;
      await npm(project, "install", ...QUIET, shared, server, client, "fastify", "pg");
      await npm(project, "install", "-D", ...QUIET, "typescript", "@types/node", "@types/pg");
      const port = await pasteReadme(project);
      await npm(project, "exec", "--", "tsc", "--noEmit", ...CHECKED);
      expect(await runReadme(project, port)).toBe("ordered { id: 1 } false\n");
    },
  );

  it(
    "runs them with yarn's Plug'n'Play, which refuses every undeclared dependency, and the command with them",
    { timeout: INSTALL_MS },
    async () => {
      const project = join(folder, "yarn");
      await mkdir(project);
      const { shared, server, client } = tarballs;
      const manifest = {
        private: true,
        dependencies: {
          "@oncekey/client": `file:${client}`,
          "@oncekey/server": `file:${server}`,
          fastify: "^5",
          pg: "^8",
        },
        devDependencies: { typescript: "^5.9.3", "@types/node": "^24", "@types/pg": "^8" },
        resolutions: { "@oncekey/shared": `file:${shared}` },
      };
      await writeFile(join(project, "package.json"), JSON.stringify(manifest));
      // Makes the folder a project of its own.
      await writeFile(join(project, "yarn.lock"), "");
      const yarn = (...args: readonly string[]) =>
        npm(project, "exec", "--yes", "--package", "@yarnpkg/cli-dist@4", "--", "yarn", ...args);
      await yarn("install", "--no-immutable");
      const port = await pasteReadme(project);
      await yarn("tsc", ...CHECKED);
      await yarn("oncekey", "sql");
      expect(await runReadme(project, port, "mjs", PLUG_AND_PLAY)).toBe(
        "ordered { id: 1 } false\n",
      );
    },
  );

  it("creates a shop by yarn, out of an archive", { timeout: INSTALL_MS }, async () => {
    const project = join(folder, "by-yarn");
    await mkdir(project);
    const create = `create-oncekey@file:${tarballs["create-oncekey"]}`;
    const yarn = ["exec", "--yes", "--package", "@yarnpkg/cli-dist@4", "--", "yarn"];
    await npm(project, ...yarn, "dlx", "--package", create, "create-oncekey", "my-shop");
    const settings = await readFile(join(project, "my-shop/.yarnrc.yml"), "utf8");
    expect(settings).toBe("nodeLinker: node-modules\n");
    const page = await readFile(join(project, "my-shop/index.html"), "utf8");
    expect(page).toContain("Two apples");
  });

  it("creates a shop, which compiles and replays a retry", { timeout: INSTALL_MS }, async () => {
    const { "create-oncekey": create = "", shared, server, client } = tarballs;
    await npm(folder, "exec", "--yes", "--package", create, "--", "create-oncekey", "shop");
    const shop = join(folder, "shop");
    const file = join(shop, "package.json");
    // Until they are published.
    const manifest = JSON.parse(await readFile(file, "utf8")) as Record<string, object>;
    const dependencies = {
      ...manifest["dependencies"],
      "@oncekey/client": `file:${client}`,
      "@oncekey/server": `file:${server}`,
    };
    const overrides = { "@oncekey/shared": `file:${shared}` };
    await writeFile(file, JSON.stringify({ ...manifest, dependencies, overrides }));
    await npm(shop, "install", ...QUIET);
    await npm(shop, "run", "types");
    const port = await freePort();
    const environment = { DATABASE_URL: database.url, PORT: String(port) };
    await database.pool({ max: 1 }).query("drop table if exists orders");
    const started = await startServer(shop, ["server.ts"], port, environment);
    onTestFinished(started.stop);
    const page = await fetch(`http://localhost:${port}/`, { headers: { accept: "text/html" } });
    expect(await page.text()).toContain("Two apples");
    const order = () =>
      fetch(`http://localhost:${port}/api/orders`, {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": "key-1" },
        body: '{"cart":"c","lines":["apple"]}',
      });
    const answers = [await order(), await order()];
    expect(answers.map(({ status }) => status)).toEqual([201, 201]);
    expect(answers[1]?.headers.get("idempotent-replayed")).toBe("true");
  });
});
