/** The checkout page, built once and kept in memory. */
import { fileURLToPath } from "node:url";
import { build } from "vite";
import type { Rolldown } from "vite";

export interface PageFile {
  readonly type: string;
  readonly content: string | Uint8Array;
}

const ROOT = fileURLToPath(new URL("page", import.meta.url));
const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
  css: "text/css; charset=utf-8",
  svg: "image/svg+xml",
  woff2: "font/woff2",
};

/** By path, `/` being the page itself. */
export async function buildPage(): Promise<ReadonlyMap<string, PageFile>> {
  const built = await build({
    root: ROOT,
    configFile: false,
    logLevel: "warn",
    resolve: { conditions: ["@oncekey/source", "module", "browser", "import", "default"] },
    build: { write: false, modulePreload: false },
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
