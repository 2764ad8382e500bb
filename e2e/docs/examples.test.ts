/** The examples of the README and of the guides, compiled as they stand there, by the strictest rules. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import {
  cp,
  glob,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "../..");
const DOCS = join(ROOT, "docs");

interface Example {
  readonly name: string;
  readonly file: string;
  readonly code: string;
}

const pages = [
  ...["README.md", "client/README.md", "server/README.md"].map((name) => join(ROOT, name)),
  ...[
    "client/skills/oncekey-client",
    "server/skills/oncekey-server",
    "shared/skills/oncekey-contract",
  ].map((name) => join(ROOT, name, "SKILL.md")),
  ...(await readdir(DOCS, { recursive: true }))
    .filter((name) => name.endsWith(".md"))
    .map((name) => join(DOCS, name)),
];
const examples = (await Promise.all(pages.map(examplesOf))).flat();

async function examplesOf(page: string): Promise<Example[]> {
  const content = await readFile(page, "utf8");
  const blocks = content.matchAll(/^```(tsx?)\n(.*?)^```$/gms);
  return [...blocks].flatMap(([block, language, code = ""], index) => {
    const line = content.slice(0, content.indexOf(block)).split("\n").length;
    const base = page.slice(ROOT.length + 1);
    const file = `${base.replace(/\W+/g, "-")}-${index}.${language}`;
    return [{ name: `${base}:${line}`, file, code }];
  });
}

/** An example may name where something is from in a comment: what of that it uses is imported. */
async function withImports(code: string): Promise<string> {
  const [, entry] = /\/\/ (@oncekey\/[\w/-]+)/.exec(code) ?? [];
  if (entry === undefined) return code;
  const names = Object.keys((await import(entry)) as object);
  const used = names.filter((name) => new RegExp(`\\b${name}\\b`).test(code));
  return `import { ${used.join(", ")} } from "${entry}";\n${code}`;
}

// Output of the libraries' own generators.
const GENERATED: Readonly<Record<string, string>> = {
  "generated/prisma/client.ts":
    "export declare class PrismaClient {\n  constructor(options: { adapter: object });\n}\n",
  "schema.ts": "export type paths = Record<never, never>;\n",
  "client/client.gen.ts":
    "export declare const client: { setConfig(config: { baseUrl: string; fetch: typeof fetch }): void };\n",
};

const CONFIG = {
  compilerOptions: {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noImplicitOverride: true,
    verbatimModuleSyntax: true,
    target: "es2024",
    lib: ["es2024", "dom", "dom.iterable"],
    module: "esnext",
    moduleResolution: "bundler",
    moduleDetection: "force",
    jsx: "react-jsx",
    types: ["node"],
    noEmit: true,
    // For the libraries' declarations; ours are sources here, and are checked.
    skipLibCheck: true,
    allowImportingTsExtensions: true,
    // As in an application on Nest.
    experimentalDecorators: true,
    customConditions: ["@oncekey/source"],
  },
  include: ["**/*"],
};

let folder = "";
let problems: readonly string[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "examples-"));
  const write = async (file: string, content: string): Promise<void> => {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), content);
  };
  for (const owner of [".", "e2e", "client", "server"]) await linkPackages(join(ROOT, owner));
  await write("tsconfig.json", JSON.stringify(CONFIG));
  for (const [file, content] of Object.entries(GENERATED)) await write(file, content);
  for (const { file, code } of examples) await write(file, await withImports(code));
  await cp(join(import.meta.dirname, "brought"), folder, { recursive: true });
  const compiler = spawn(join(ROOT, "node_modules/.bin/tsc"), ["-p", folder, "--pretty", "false"]);
  problems = (await text(compiler.stdout)).split("\n").filter((line) => line !== "");
});
afterAll(() => rm(folder, { recursive: true }));

/** Makes all that a package's own sources can import what the examples can. */
async function linkPackages(owner: string): Promise<void> {
  const target = join(folder, "node_modules");
  for await (const name of glob("{*,@*/*}", { cwd: join(owner, "node_modules") })) {
    if (/^@[^/]*$/.test(name)) continue;
    await mkdir(dirname(join(target, name)), { recursive: true });
    const from = await realpath(join(owner, "node_modules", name));
    if (!existsSync(join(target, name))) await symlink(from, join(target, name));
  }
}

describe("an example compiles as it is pasted", () => {
  it.each(examples)("$name", ({ file }) => {
    expect(problems.filter((problem) => problem.includes(file))).toEqual([]);
  });
});

it("and no block is indented, because this test would not find it", async () => {
  const texts = await Promise.all(pages.map((page) => readFile(page, "utf8")));
  expect(texts.join("\n").match(/```tsx?\n/g)).toHaveLength(examples.length);
});

it("and there is one of the README and of each guide that is about the client", () => {
  const found = [...new Set(examples.map(({ name }) => name.split(":", 1)[0]))];
  const guides = ["generated-clients", "outcomes", "react", "storage", "testing"];
  const pagesOfClient = ["README.md", ...guides.map((name) => `docs/guides/${name}.md`)];
  expect(found).toEqual(expect.arrayContaining(pagesOfClient));
  const elsewhere = problems.filter(
    (problem) => !examples.some(({ file }) => problem.includes(file)),
  );
  expect(elsewhere, "nor is anything wrong in what they import").toEqual([]);
});
