/** `prose`: counts the places in comments, docs, messages and titles that strangers read twice. `--check` holds them to ceilings. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

/** Marks in a hundred sentences of everything tracked. */
const CEILING = 3;
// The texts that users read first have none at all: the contract, options, results and READMEs; and the message of every error.
const SPOTLESS =
  /^shared\/|\/src\/options\/|^client\/src\/operation\/result\.ts$|(^|\/)README\.md$/;

type Kind = "comment" | "prose" | "title" | "message";

interface Mark {
  readonly file: string;
  readonly line: number;
  readonly rule: string;
  readonly kind: Kind;
  readonly sentence: string;
}

const RULES: readonly (readonly [rule: string, isBroken: (sentence: string) => boolean])[] = [
  [
    "open with a verb or a noun",
    matches(
      /^(What|How|Who|Whoever|Whose|Where|From|Of|Under|Behind|Told|Said|Asked|Those|That)\b/,
    ),
  ],
  [
    "if, when or unless",
    matches(
      /(^|[,:;(]\s|\b(and|or|but)\s)where (it|that|there|this|an?|the|none|nobody|one|no|its|our|we|they)\b/i,
    ),
  ],
  [
    "name who acts",
    matches(
      /\b(whoever|nobody|somebody|anybody|everybody|no one|those who|who (waits|looks|asks|comes))\b/i,
    ),
  ],
  [
    "use the technical verb",
    matches(
      /\b(tells?|told|telling|say|says|said|speaks?|spoke|wish(es|ed)?|lets? go|letting go|gives? way|come to nothing|comes to nothing|stands? still|stood still|once more|in vain|of note|meanwhile|words)\b/i,
    ),
  ],
  ["at most 30 words", (sentence) => sentence.split(/\s+/).length > 30],
];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { check: { type: "boolean", default: false } },
});
const paths = positionals.length > 0 ? positionals : ["*.ts", "*.tsx", "*.sql", "*.md"];
const files = execFileSync("git", ["ls-files", "-z", "--", ...paths], {
  cwd: ROOT,
  encoding: "utf8",
})
  .split("\0")
  .filter((file) => /\.(ts|tsx|sql|md)$/.test(file));

const marks: Mark[] = [];
let sentences = 0;
for (const file of files) {
  const lines = readFileSync(ROOT + file, "utf8").split("\n");
  if (file.endsWith(".md")) readPage(file, lines);
  else readSource(file, lines);
}

const rate = sentences === 0 ? 0 : (100 * marks.length) / sentences;
const spots = marks.filter(({ file, kind }) => SPOTLESS.test(file) || kind === "message");
const isFine = rate <= CEILING && spots.length === 0;
for (const mark of values.check ? spots : marks) {
  console.log(`${mark.file}:${mark.line}: ${mark.sentence.slice(0, 140)}   [${mark.rule}]`);
}
console.log(
  `${marks.length} marks in ${sentences} sentences: ${rate.toFixed(1)} a hundred, at most ${CEILING}; ${spots.length} in contract, options, results, messages and READMEs, at most 0`,
);
if (values.check && !isFine) process.exitCode = 1;

function readPage(file: string, lines: readonly string[]): void {
  let isCode = false;
  for (const [index, line] of lines.entries()) {
    if (/^\s*```/.test(line)) isCode = !isCode;
    else if (!isCode && !/^#|^\s*\|?\s*-{3}/.test(line)) {
      for (const cell of line.split("|")) {
        read({ file, line: index + 1, kind: "prose" }, cell.replace(/^[-*>\d.\s]+/, ""));
      }
    }
  }
}

/** Reads runs of line comments, block comments, titles of tests, and messages of errors. */
function readSource(file: string, lines: readonly string[]): void {
  let run: string[] = [];
  let from = 0;
  let isBlock = false;
  const flush = (): void => {
    if (run.length > 0) read({ file, line: from, kind: "comment" }, run.join(" "));
    run = [];
  };
  for (const [index, line] of lines.entries()) {
    const alone = isBlock ? undefined : oneLineComment(file, line);
    if (alone !== undefined) {
      if (run.length === 0 || alone.isBlock) {
        if (alone.isBlock) flush();
        from = index + 1;
      }
      run.push(alone.text);
      if (alone.isBlock) flush();
    } else if (isBlock) {
      run.push(lineOfBlock(line));
      if (line.includes("*/")) {
        isBlock = false;
        flush();
      }
    } else if (/^\s*\/\*\*?/.test(line) && !line.includes("*/")) {
      flush();
      isBlock = true;
      from = index + 1;
      run.push(line.replace(/^\s*\/\*\*?\s?/, ""));
    } else {
      flush();
      // The formatter puts a long message on a line of its own.
      const next = line.endsWith("(") ? (lines[index + 1] ?? "").trim() : "";
      readStrings(file, index + 1, line + next);
    }
  }
  flush();
}

function oneLineComment(
  file: string,
  line: string,
): { readonly text: string; readonly isBlock: boolean } | undefined {
  const [, text] = (file.endsWith(".sql") ? /^\s*--\s?(.*)$/ : /^\s*\/\/\s?(.*)$/).exec(line) ?? [];
  if (text !== undefined) return { text, isBlock: false };
  const [, block] = /^\s*\/\*\*?\s*(.*?)\s*\*\/\s*$/.exec(line) ?? [];
  return block === undefined ? undefined : { text: block, isBlock: true };
}

/** A tag begins a sentence of its own. */
function lineOfBlock(line: string): string {
  const text = line.replace(/\*\/.*$/, "").replace(/^\s*\*\s?/, "");
  return text.startsWith("@") ? `. ${text.replace(/^@\w+\s*(\w+\s)?/, "")}` : text;
}

function readStrings(file: string, line: number, text: string): void {
  const title = /\b(?:it|test|describe)(?:\.\w+)*\(\s*(["'`])(.*?)\1/.exec(text);
  if (title !== null) read({ file, line, kind: "title" }, title[2] ?? "");
  const thrown = /new (?:\w*Error)\(\s*(["'`])(.*?)\1/.exec(text);
  if (thrown !== null) read({ file, line, kind: "message" }, thrown[2] ?? "");
}

function read(place: Pick<Mark, "file" | "line" | "kind">, text: string): void {
  const plain = text.replaceAll(/`[^`]*`/g, "`x`").replaceAll(/\s+/g, " ");
  for (const part of plain.split(/(?<=[.:;!?])\s+(?=[A-Z`])/)) {
    const sentence = part.trim();
    if (sentence.split(" ").length < 4) continue;
    sentences += 1;
    for (const [index, [rule, isBroken]] of RULES.entries()) {
      // Only a comment opens with what it is about.
      if (index === 0 && place.kind !== "comment") continue;
      if (isBroken(sentence)) marks.push({ ...place, rule, sentence });
    }
  }
}

function matches(pattern: RegExp): (sentence: string) => boolean {
  return (sentence) => pattern.test(sentence);
}
