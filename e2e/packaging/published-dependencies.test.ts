import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const run = promisify(execFile);

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional: boolean }>>;
}

async function readManifest(name: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(ROOT, name, "package.json"), "utf8")) as Manifest;
}

describe("the dependencies of a published package", () => {
  it.each(["client", "server", "shared"])("are caret ranges: %s", async (name) => {
    const { dependencies = {} } = await readManifest(name);
    for (const [dependency, range] of Object.entries(dependencies)) {
      expect(range, dependency).toMatch(/^(\^\d|workspace:\^$)/);
    }
  });

  it("leave the types of pg to the application, as an optional peer", async () => {
    const { dependencies, peerDependencies, peerDependenciesMeta } = await readManifest("server");
    expect(dependencies).not.toHaveProperty("@types/pg");
    expect(peerDependencies?.["@types/pg"]).toMatch(/^\^8\.11\./);
    expect(peerDependenciesMeta?.["@types/pg"]).toEqual({ optional: true });
  });
});

const CONSUMER = `
import { idempotency, migrate } from "@oncekey/server";
import Fastify from "fastify";
import { Pool } from "pg";
import type { PoolClient } from "pg";

const pool = new Pool();
await migrate(pool);
const app = Fastify();
await app.register(idempotency, { pool, scope: "single-tenant" });
app.post("/pay", { config: { idempotency: true } }, async (request) => {
  const tx: PoolClient = request.idempotency.tx;
  return (await tx.query<{ id: number }>("select 1 as id")).rows[0]?.id;
});
`;

describe("the server's declarations", () => {
  it("compile in an application with the oldest types of pg that the peer range allows", async () => {
    await run(join(ROOT, "node_modules/.bin/tsc"), ["-b", "server"], { cwd: ROOT });
    const folder = await mkdtemp(join(tmpdir(), "types-"));
    try {
      await linkServer(folder);
      await writeFile(join(folder, "consumer.mts"), CONSUMER);
      const compilerOptions = {
        strict: true,
        target: "es2024",
        module: "nodenext",
        types: ["node"],
        skipLibCheck: true,
        noEmit: true,
      };
      const config = { compilerOptions, files: ["consumer.mts"] };
      await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
      await run(join(ROOT, "node_modules/.bin/tsc"), ["-p", folder], { cwd: folder });
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 120_000);
});

/** Puts the built server beside its peers, with the oldest types of pg instead of ours. */
async function linkServer(folder: string): Promise<void> {
  for (const name of ["server", "shared"]) {
    const target = join(folder, "node_modules/@oncekey", name);
    await mkdir(target, { recursive: true });
    await cp(join(ROOT, name, "dist"), join(target, "dist"), { recursive: true });
    await cp(join(ROOT, name, "package.json"), join(target, "package.json"));
  }
  const links = [
    ["fastify", "server/node_modules/fastify"],
    ["@types/pg", "e2e/node_modules/types-pg-8.11"],
    ["@types/node", "node_modules/@types/node"],
  ] as const;
  for (const [name, from] of links) {
    const target = join(folder, "node_modules", name);
    await mkdir(dirname(target), { recursive: true });
    await symlink(await realpath(join(ROOT, from)), target);
  }
}
