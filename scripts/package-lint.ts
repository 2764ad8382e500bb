/** Checks the packed packages as registries and compilers read them: `publint`, and `attw` for ESM. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { packAll } from "./packages.ts";
import type { PackedPackage } from "./packages.ts";

const BIN = fileURLToPath(new URL("../e2e/node_modules/.bin/", import.meta.url));
const run = promisify(execFile);

/** Returns the linters' complaints about a package, or nothing. */
export async function complaintsAbout({ folder, tarball }: PackedPackage): Promise<string> {
  const linters = [["publint", tarball, "--strict"]];
  // create-oncekey has a command and no types.
  if (folder !== "create-oncekey")
    linters.push(["attw", tarball, "--profile", "esm-only", "--format", "ascii", "--no-color"]);
  const said = await Promise.all(linters.map(([name = "", ...args]) => complaints(name, args)));
  return said.join("");
}

async function complaints(linter: string, args: readonly string[]): Promise<string> {
  try {
    await run(join(BIN, linter), args);
    return "";
  } catch (error) {
    const { stdout = "", stderr = "" } = error as { readonly stdout?: string; stderr?: string };
    return `${linter}: ${stdout}${stderr}${stdout + stderr === "" ? String(error) : ""}\n`;
  }
}

if (import.meta.main) {
  const destination = await mkdtemp(join(tmpdir(), "package-lint-"));
  try {
    const said = await Promise.all((await packAll(destination)).map(complaintsAbout));
    const all = said.join("");
    process.stdout.write(all);
    process.exitCode = all === "" ? 0 : 1;
  } finally {
    await rm(destination, { recursive: true });
  }
}
