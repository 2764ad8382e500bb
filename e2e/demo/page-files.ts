/** The pages of the demo. */
import { fileURLToPath } from "node:url";
import { buildFiles } from "../shop/page-files.ts";
import type { PageFile } from "../shop/page-files.ts";

/** The checkout: by path, `/` being the page itself. */
export function buildPage(): Promise<ReadonlyMap<string, PageFile>> {
  return buildFiles(fileURLToPath(new URL("page", import.meta.url)), {
    index: "index.html",
    device: "device.html",
    react: "react.html",
    "tanstack-query": "tanstack-query.html",
  });
}
