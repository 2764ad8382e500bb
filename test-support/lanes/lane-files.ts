/** Finds the test files of a lane by what they import, so that no list of them has to be kept. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Lane } from "./lane.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const DATABASE = join(ROOT, "test-support/postgres/");
const BROWSER = join(ROOT, "test-support/browser/browser.ts");
const DEPTH = join(import.meta.dirname, "depth.ts");
const PROCESSES = "node:child_process";

// Type imports leave nothing behind at run time.
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s+(?!type\b)(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/g;

/**
 * Lists the test files below a folder that belong to a lane.
 *
 * @returns paths relative to the folder.
 */
export function filesOfLane(lane: Lane, folder: string): string[] {
  const files = globSync("**/*.test.ts", {
    cwd: folder,
    exclude: (name) => name === "node_modules" || name === "dist",
  });
  return files.filter((file) => belongs(lane, reachableFrom(join(folder, file)))).toSorted();
}

function belongs(lane: Lane, reached: ReadonlySet<string>): boolean {
  const usesDatabase = [...reached].some((one) => one.startsWith(DATABASE));
  switch (lane) {
    case "unit":
      return !usesDatabase && !reached.has(BROWSER) && !reached.has(PROCESSES);
    case "database":
      return usesDatabase;
    case "deep":
      return reached.has(DEPTH);
    default:
      return lane satisfies never;
  }
}

/** Follows relative imports and those of the workspace's packages. Other packages appear by their names. */
function reachableFrom(file: string): ReadonlySet<string> {
  const reached = new Set([file]);
  for (const one of reached) for (const next of importsOf(one)) reached.add(next);
  return reached;
}

const known = new Map<string, readonly string[]>();

function importsOf(file: string): readonly string[] {
  const cached = known.get(file);
  if (cached !== undefined) return cached;
  const isSource = /\.tsx?$/.test(file) && existsSync(file);
  const text = isSource ? readFileSync(file, "utf8") : "";
  const found = [...text.matchAll(IMPORT)].map(([, named, called]) => named ?? called ?? "");
  const imports = found.map((name) => locate(name, file));
  known.set(file, imports);
  return imports;
}

function locate(name: string, importer: string): string {
  if (name.startsWith(".")) return resolve(importer, "..", name);
  const [, folder = "", entry = ""] = /^@oncekey\/([^/]+)(\/.*)?$/.exec(name) ?? [];
  if (folder === "") return name;
  if (folder === "test-support") return join(ROOT, folder, `${entry}.ts`);
  return sourceOf(folder, `.${entry}`);
}

interface Manifest {
  readonly exports: Readonly<Record<string, { readonly "@oncekey/source"?: string } | string>>;
}

function sourceOf(folder: string, entry: string): string {
  const path = join(ROOT, folder, "package.json");
  const { exports } = JSON.parse(readFileSync(path, "utf8")) as Manifest;
  const found = exports[entry];
  const source = typeof found === "string" ? found : found?.["@oncekey/source"];
  return join(ROOT, folder, source ?? entry);
}
