import { execFile } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const BIN = join(import.meta.dirname, "../node_modules/.bin");
const run = promisify(execFile);
// Includes the build, on a busy machine.
const PACKING_MS = 240_000;

let folder = "";
beforeAll(async () => {
  const projects = ["shared", "client/tsconfig.node.json", "server"];
  await run(join(ROOT, "node_modules/.bin/tsc"), ["-b", ...projects], { cwd: ROOT });
  folder = await mkdtemp(join(tmpdir(), "package-lint-"));
}, PACKING_MS);
afterAll(() => rm(folder, { recursive: true }));

/** Packs a package and returns the path of its tarball. */
async function pack(name: string): Promise<string> {
  await run("npm", ["pack", "--pack-destination", folder], { cwd: join(ROOT, name) });
  const tarball = (await readdir(folder)).find((file) => file.startsWith(`oncekey-${name}-`));
  if (tarball === undefined) throw new Error(`npm packed nothing of ${name}`);
  return join(folder, tarball);
}

/** Runs a linter and returns its output if it fails. */
async function complaints(linter: string, ...args: string[]): Promise<string> {
  try {
    await run(join(BIN, linter), args);
    return "";
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string };
    return stdout + stderr;
  }
}

describe.each(["shared", "client", "server"])("the packed %s", (name) => {
  it("passes publint, and attw for ESM", { timeout: PACKING_MS }, async () => {
    const tarball = await pack(name);
    expect(await complaints("publint", tarball, "--strict")).toBe("");
    const esm = ["--profile", "esm-only", "--format", "ascii", "--no-color", "--no-emoji"];
    expect(await complaints("attw", tarball, ...esm)).toBe("");
  });
});
