import { build } from "vite";
import type { Rolldown } from "vite";

export interface Bundle {
  readonly code: string;
  /** The file of every module in it. */
  readonly modules: readonly string[];
}

/**
 * Bundles what a page, an app or a worker would write, minified, as one script.
 *
 * @param format `iife` leaves what `code` exports in a variable `bundle`.
 */
export async function bundle(
  code: string,
  format: "es" | "iife" = "es",
  external: readonly string[] = [],
): Promise<Bundle> {
  const entry = "virtual:entry";
  const built = await build({
    configFile: false,
    logLevel: "warn",
    root: `${import.meta.dirname}/..`,
    resolve: { conditions: ["@oncekey/source", "module", "browser", "import", "default"] },
    plugins: [
      {
        name: "entry",
        // Beside this project's own files, so that it may import what they may.
        resolveId: (id) => (id === entry ? `${import.meta.dirname}/${entry}.js` : undefined),
        load: (id) => (id.endsWith(`${entry}.js`) ? code : undefined),
      },
    ],
    build: {
      write: false,
      minify: "oxc",
      modulePreload: false,
      rolldownOptions: {
        input: entry,
        external: [...external],
        preserveEntrySignatures: "strict",
        output: { format, name: "bundle" },
      },
    },
  });
  const outputs = (Array.isArray(built) ? built : [built]) as Rolldown.RolldownOutput[];
  const chunks = outputs.flatMap(({ output }) => output).filter((file) => file.type === "chunk");
  return {
    code: chunks.map((chunk) => chunk.code).join(""),
    modules: chunks.flatMap((chunk) => chunk.moduleIds),
  };
}
