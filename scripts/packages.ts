/** The packages that are published: builds them and packs them as npm gets them. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const run = promisify(execFile);

/** In the order of their dependencies. */
export const PACKAGES = ["shared", "client", "server", "create-oncekey"] as const;

export type PackageFolder = (typeof PACKAGES)[number];

/** A package as it is published. */
export interface PackedPackage {
  readonly folder: PackageFolder;
  readonly tarball: string;
}

/** Builds and packs every package. pnpm replaces `workspace:^` by the version. */
export async function packAll(destination: string): Promise<readonly PackedPackage[]> {
  await run(join(ROOT, "node_modules/.bin/tsc"), ["-b"], { cwd: ROOT });
  const packed: PackedPackage[] = [];
  for (const folder of PACKAGES) {
    const args = ["-y", "pnpm@12", "pack", "--json", "--pack-destination", destination];
    const { stdout } = await run("npx", args, { cwd: join(ROOT, folder) });
    const { filename } = JSON.parse(stdout) as { readonly filename: string };
    packed.push({ folder, tarball: join(destination, filename.split("/").at(-1) ?? filename) });
  }
  return packed;
}
