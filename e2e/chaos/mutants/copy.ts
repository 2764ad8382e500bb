/**
 * A copy of the project in which a line may be changed. It shares the installed packages with the
 * original.
 */
import { cp, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { makeFolder } from "@oncekey/test-support/postgres/binaries";
import { startReaper } from "@oncekey/test-support/processes/reaper";
import type { Edit } from "./mutant.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const PACKAGES = ["shared", "client", "server", "e2e"];
// Vite reads the configuration of TypeScript as it transforms a source. The root's refers to folders that are not here.
const FILES = ["package.json", "tsconfig.base.json"];

export interface ProjectCopy {
  readonly folder: string;
  /** Makes the edits, which replace all that were made before. */
  readonly plant: (edits: readonly Edit[]) => Promise<void>;
  readonly remove: () => Promise<void>;
}

export async function copyProject(): Promise<ProjectCopy> {
  const folder = await makeFolder("oncekey-planted-");
  // It goes with this process too, however that ends.
  const reaper = startReaper(folder);
  await Promise.all(
    PACKAGES.map((name) =>
      // Links between the packages are relative, and so lead from copy to copy.
      cp(join(ROOT, name), join(folder, name), { recursive: true, verbatimSymlinks: true }),
    ),
  );
  await Promise.all(FILES.map((name) => cp(join(ROOT, name), join(folder, name))));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  const originals = new Map<string, string>();
  const restore = async (): Promise<void> => {
    for (const [file, text] of originals) await writeFile(join(folder, file), text);
    originals.clear();
  };
  return {
    folder,
    async plant(edits) {
      await restore();
      for (const { file, find, replace } of edits) {
        const path = join(folder, file);
        const text = await readFile(path, "utf8");
        if (!originals.has(file)) originals.set(file, text);
        if (text.split(find).length !== 2) throw new Error(`${file} has not exactly one: ${find}`);
        await writeFile(
          path,
          text.replace(find, () => replace),
        );
      }
    },
    remove: () => reaper.stop(),
  };
}
