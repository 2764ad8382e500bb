import { execFile } from "node:child_process";
import { cp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packClient } from "./packed.ts";
import type { Packed } from "./packed.ts";

const ROOT = join(import.meta.dirname, "../..");
const run = promisify(execFile);

let packed: Packed;
let withReact = "";
let withTypeTests = "";
// Everything is compiled and packed first, which a busy machine may take its time for.
const PACKING_MS = 240_000;
beforeAll(async () => {
  packed = await packClient();
  withReact = await packed.withPeers("react");
  withTypeTests = await packed.withPeers("react", "@types/react", "msw", "msw-2", "zod");
  await cp(join(ROOT, "client/test/types"), join(withTypeTests, "types"), { recursive: true });
}, PACKING_MS);
afterAll(() =>
  Promise.all([packed.folder, withReact, withTypeTests].map((at) => rm(at, { recursive: true }))),
);

const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noImplicitOverride: true,
  noPropertyAccessFromIndexSignature: true,
  verbatimModuleSyntax: true,
  // Ours are what is tested here.
  skipLibCheck: false,
  skipDefaultLibCheck: true,
  target: "es2022",
  lib: ["es2022", "dom", "dom.iterable"],
  types: [],
  noEmit: true,
};
const MODULES = [
  { module: "nodenext", moduleResolution: "nodenext" },
  { module: "esnext", moduleResolution: "bundler" },
];

/** Returns the errors of a compiler for a file that imports `entries`. */
async function complaints(
  compiler: string,
  folder: string,
  entries: readonly string[],
  options: object,
): Promise<string> {
  const lines = entries.map((entry, index) => `export * as entry${index} from "${entry}";`);
  await writeFile(join(folder, "consumer.mts"), lines.join("\n"));
  return compile(compiler, folder, ["consumer.mts"], options);
}

async function compile(
  compiler: string,
  folder: string,
  include: readonly string[],
  options: object,
): Promise<string> {
  const config = { compilerOptions: { ...STRICT, ...options }, include };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify(config));
  const bin = join(ROOT, compiler, "node_modules/.bin/tsc");
  const ended = run(bin, ["-p", folder, "--pretty", "false"], { cwd: folder });
  return ended.then(
    ({ stdout }) => stdout,
    (error: unknown) => (error as { readonly stdout: string }).stdout,
  );
}

describe.each([
  ["TypeScript 7", "."],
  ["TypeScript 5.9", "client/test/hey-api"],
])("by the strictest rules of %s", (_name, compiler) => {
  it.each(MODULES)(
    "the declarations of every entry compile under $moduleResolution, without peers but their own",
    async (options) => {
      const alone = packed.entries.filter((entry) => !entry.endsWith("/react"));
      expect(await complaints(compiler, packed.folder, alone, options)).toBe("");
      expect(await complaints(compiler, withReact, packed.entries, options)).toBe("");
    },
    PACKING_MS,
  );

  it(
    "the type tests of the client compile against the published declarations",
    async () => {
      // The declarations of msw are not for TypeScript 5.9, nor without Node's types.
      const options = { ...MODULES[1], skipLibCheck: true, allowImportingTsExtensions: true };
      const errors = await compile(compiler, withTypeTests, ["types/*"], options);
      expect(errors).toBe("");
    },
    PACKING_MS,
  );
});
