/** `release`: packs every package, checks the tarballs, and publishes them with provenance. `--dry-run` publishes nothing. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { complaintsAbout } from "./package-lint.ts";
import { packAll } from "./packages.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const { values } = parseArgs({ options: { "dry-run": { type: "boolean", default: false } } });
const isDry = values["dry-run"];

if (!isDry && output("git", "status", "--porcelain") !== "") {
  console.error("release needs a clean working tree");
  process.exit(1);
}
// The compiler leaves the output of a deleted source where it is.
for (const folder of ["shared", "client", "server"]) {
  rmSync(join(ROOT, folder, "dist"), { recursive: true, force: true });
}
must(join(ROOT, "node_modules/.bin/tsc"), "-b", "--force");
const destination = mkdtempSync(join(tmpdir(), "release-"));
try {
  const packed = await packAll(destination);
  // All are checked before the first is published.
  for (const one of packed) {
    const said = await complaintsAbout(one);
    if (said !== "") throw new Error(said);
  }
  for (const { tarball } of packed) {
    // Provenance needs the identity token of a workflow on a public forge.
    const how = isDry ? ["--dry-run"] : ["--provenance"];
    must("npm", "publish", tarball, "--access", "public", ...how);
  }
} finally {
  rmSync(destination, { recursive: true });
}

function must(command: string, ...args: readonly string[]): void {
  const { status } = spawnSync(command, args, { cwd: ROOT, stdio: "inherit" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${String(status)}`);
}

function output(command: string, ...args: readonly string[]): string {
  return spawnSync(command, args, { cwd: ROOT, encoding: "utf8" }).stdout.trim();
}
