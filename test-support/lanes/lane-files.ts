/** Finds the test files of a lane by what they import, so that no list of them has to be kept. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import type { Lane } from "./lane.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const DATABASE = join(ROOT, "test-support/postgres/");
const BROWSER = join(ROOT, "test-support/browser/browser.ts");
const DEPTH = join(import.meta.dirname, "depth.ts");
const PROCESSES = "node:child_process";

// Type imports leave nothing behind at run time.
const IMPORT =
  /(?:^|\n)\s*(?:import|export)\s+(?!type\b)(?:[^"';]*?\sfrom\s+)?["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']\s*\)/g;

// The statements of the store and of handlers, on connections of every kind. The other folders test parts above the store, which
// send it the same on every database: plugins, captured responses, encryption, caches, telemetry.
const ASKS_DATABASE = /^server\/test\/(admin|backend|cli|context|faults|orm|request|store)\//;

/**
 * Lists the test files below a folder that belong to a lane, or all of them.
 *
 * @returns paths relative to the folder.
 */
export function filesOfLane(lane: Lane | undefined, folder: string): string[] {
  const files = globSync("**/*.test.ts", {
    cwd: folder,
    exclude: (name) => name === "node_modules" || name === "dist",
  });
  const found = lane === undefined ? files : files.filter((file) => belongs(lane, folder, file));
  return found.toSorted();
}

function belongs(lane: Lane, folder: string, file: string): boolean {
  const path = join(folder, file);
  const reached = reachableFrom(path);
  const usesDatabase = [...reached].some((one) => one.startsWith(DATABASE));
  switch (lane) {
    case "unit":
      return !usesDatabase && !reached.has(BROWSER) && !reached.has(PROCESSES);
    case "database":
      return usesDatabase && ASKS_DATABASE.test(relative(ROOT, path));
    case "deep":
      return reached.has(DEPTH);
    default:
      return lane satisfies never;
  }
}

// The channels of `node:diagnostics_channel` are the process's: a listener would hear the leases of other files too. So is
// OpenTelemetry's provider, which can be set once.
const REPLACES =
  /\bglobalThis\b|\bvi\.(mock|doMock|stubGlobal|stubEnv)\(|\bprocess\.env\[[^\]]+\] = |"node:diagnostics_channel"|\bsetGlobal\w+\(/;
const SOURCES = /^\w+\/src\//;

/**
 * Whether a test file needs a process of its own. It does if the file or a helper replaces modules, globals or environment
 * variables, or uses state of the process, such as a channel. All others share processes; their modules are loaded anew for each file.
 */
export function needsOwnProcess(file: string): boolean {
  return [...reachableFrom(file)].some(
    (one) => !SOURCES.test(relative(ROOT, one)) && REPLACES.test(textOf(one)),
  );
}

/** Follows relative imports and those of the workspace's packages. Other packages appear by their names. */
function reachableFrom(file: string): ReadonlySet<string> {
  const reached = new Set([file]);
  for (const one of reached) for (const next of importsOf(one)) reached.add(next);
  return reached;
}

const known = new Map<string, readonly string[]>();
const texts = new Map<string, string>();

/** Returns the text of a source file, and nothing for any other module. */
function textOf(file: string): string {
  const cached = texts.get(file);
  if (cached !== undefined) return cached;
  const isSource = /\.tsx?$/.test(file) && existsSync(file);
  const text = isSource ? readFileSync(file, "utf8") : "";
  texts.set(file, text);
  return text;
}

function importsOf(file: string): readonly string[] {
  const cached = known.get(file);
  if (cached !== undefined) return cached;
  const found = [...textOf(file).matchAll(IMPORT)].map(
    ([, named, called]) => named ?? called ?? "",
  );
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
