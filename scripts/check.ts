/** `check`: everything about the project that a program can judge without running it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

interface Check {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** Whether its output is of interest if it passes, too. */
  readonly isReport?: boolean;
}

// Import cycles (of types too) and the limit of 400 lines a file are rules of the linter.
const CHECKS: readonly Check[] = [
  { name: "format", command: ["oxfmt", "--check"] },
  { name: "lint, cycles, file length", command: ["oxlint", "--type-aware"] },
  { name: "file list of ARCHITECTURE.md", command: ["node", "scripts/tree.ts", "--check"] },
  {
    name: "pages of docs/reference",
    command: ["node", "--conditions=@oncekey/source", "scripts/reference.ts", "--check"],
  },
  { name: "links and anchors of Markdown", command: ["node", "scripts/links.ts"] },
  ...["shared", "client", "server"].map((name): Check => {
    return {
      name: `skills of ${name}`,
      command: ["intent", "validate", `${name}/skills`, "--check"],
    };
  }),
  { name: "prose", command: ["node", "scripts/prose.ts", "--check"], isReport: true },
  { name: "unused files, exports, dependencies", command: ["knip", "--no-progress"] },
  {
    name: "sizes of the client's entries",
    command: ["node", "scripts/sizes.ts"],
    isReport: true,
  },
];

const BUILD: Check = { name: "types, build", command: ["tsc", "-b"] };
/** They pack what was built. */
const AFTER_BUILD: readonly Check[] = [
  { name: "packed packages", command: ["node", "scripts/package-lint.ts"] },
];

const results = await Promise.all([...CHECKS.map(run), ...buildFirst()]);
const failed = results.filter((isRight) => !isRight).length;
console.log(`\n${results.length - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;

function buildFirst(): Promise<boolean>[] {
  const built = run(BUILD);
  return [built, ...AFTER_BUILD.map((check) => built.then(() => run(check)))];
}

async function run({ name, command: [program, ...args], isReport }: Check): Promise<boolean> {
  const child = spawn(`${ROOT}node_modules/.bin/${program}`, args, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [out, err, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  console.log(`${code === 0 ? "ok    " : "FAILED"}  ${name}`);
  if (code !== 0 || isReport === true)
    console.log(`${out}${err}`.trimEnd().replaceAll(/^/gm, "        "));
  return code === 0;
}
