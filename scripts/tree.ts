/** `tree`: writes one line a source file into ARCHITECTURE.md, from the first sentence of each file. `--check` only compares. */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const PAGE = `${ROOT}ARCHITECTURE.md`;
const SOURCES = ["shared/src", "client/src", "server/src"];
const SECTION = /(<!-- tree -->\n)[^]*(<!-- \/tree -->)/;

const listed = execFileSync("git", ["ls-files", "--", ...SOURCES], { cwd: ROOT, encoding: "utf8" });
const files = listed
  .split("\n")
  .filter((file) => /\.(ts|sql)$/.test(file))
  .toSorted((one, two) => key(one).localeCompare(key(two)));
const lines: string[] = [];
const silent: string[] = [];
let folder = "";
for (const file of files) {
  const at = file.lastIndexOf("/");
  if (file.slice(0, at) !== folder) {
    folder = file.slice(0, at);
    lines.push("", `**\`${folder}/\`**`, "");
  }
  const sentence = firstSentence(readFileSync(ROOT + file, "utf8"));
  if (sentence === undefined) silent.push(file);
  lines.push(`- \`${file.slice(at + 1)}\`: ${sentence}`);
}
if (silent.length > 0) {
  console.error(`Begin with a comment that says what the file is for:\n${silent.join("\n")}`);
  process.exit(1);
}
const page = readFileSync(PAGE, "utf8");
const fresh = page.replace(
  SECTION,
  (_all, open, close) => `${open}${lines.join("\n")}\n\n${close}`,
);
if (fresh !== page) {
  if (process.argv.includes("--check")) {
    console.error("The tree of ARCHITECTURE.md is old: run `npx -y pnpm@12 tree`");
    process.exitCode = 1;
  } else {
    writeFileSync(PAGE, fresh);
  }
}

/** Returns the first sentence of the comment at a file's top; an entry that only exports is named as such. */
function firstSentence(text: string): string | undefined {
  const comment = /^(?:#!.*\n)?(?:\/\*\*\s*([^]*?)\*\/|((?:--.*\n)+))/.exec(text);
  if (comment === null) return isEntry(text) ? "exports of an entry" : undefined;
  const plain = (comment[1] ?? comment[2] ?? "")
    .replace(/^(?:\s*\*|--)\s?/gm, "")
    .replace(/\s+/g, " ");
  return (/^.*?\.(?= |$)/.exec(plain.trim())?.[0] ?? plain.trim()).replace(/\.$/, "");
}

/** Sorts the files of a folder before its subfolders. */
function key(file: string): string {
  const at = file.lastIndexOf("/");
  return `${file.slice(0, at)}/\0${file.slice(at)}`;
}

function isEntry(text: string): boolean {
  return /^export (\{|\*|type)/.test(text);
}
