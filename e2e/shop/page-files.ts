/** Pages, built once and kept in memory. */
import { join } from "node:path";
import { build } from "vite";
import type { Rolldown } from "vite";

export interface PageFile {
  readonly type: string;
  readonly content: string | Uint8Array;
}

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  woff2: "font/woff2",
};

/**
 * Builds the pages and scripts of a folder and whatever they load, their workers included.
 *
 * @param input files of the folder by the name of what is made of them. `index.html` is served at `/`.
 */
export async function buildFiles(
  root: string,
  input: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, PageFile>> {
  const conditions = ["@oncekey/source", "module", "browser", "import", "default"];
  const entries = Object.entries(input).map(([name, file]) => [name, join(root, file)]);
  const built = await build({
    root,
    configFile: false,
    logLevel: "warn",
    resolve: { conditions },
    worker: { format: "es" },
    build: {
      write: false,
      modulePreload: false,
      rolldownOptions: {
        input: Object.fromEntries(entries) as Record<string, string>,
        output: { entryFileNames: "[name].js" },
        // It is meant for servers that render; nothing is rendered on one here.
        onLog: (level, log, handle) =>
          log.code === "MODULE_LEVEL_DIRECTIVE" ? undefined : handle(level, log),
        // On a busy machine everything is slow.
        checks: { pluginTimings: false },
      },
    },
  });
  const outputs = (Array.isArray(built) ? built : [built]) as Rolldown.RolldownOutput[];
  const files = new Map<string, PageFile>();
  for (const file of outputs.flatMap(({ output }) => output)) {
    const content = file.type === "chunk" ? file.code : file.source;
    const path = file.fileName === "index.html" ? "/" : `/${file.fileName}`;
    const ending = file.fileName.split(".").at(-1) ?? "";
    files.set(path, { type: TYPES[ending] ?? "application/octet-stream", content });
  }
  return files;
}
