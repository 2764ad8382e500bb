/** The page docs/reports/mutation.md. */
import { globSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { table } from "@oncekey/test-support/reporting/page";
import { AREAS, areaOf } from "./areas.ts";
import type { Area } from "./areas.ts";
import { reasonOf } from "./equivalent.ts";
import { countMutants } from "./result.ts";
import type { FileResult, MutatorKind, Survivor } from "./result.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const KINDS: Readonly<Record<MutatorKind, string>> = { code: "code", sql: "SQL" };

/** @param results of all areas. */
export function formatPage(results: readonly FileResult[]): string {
  const survivors = results.flatMap((result) => result.survivors);
  const open = survivors.filter((survivor) => reasonOf(survivor) === undefined);
  const equivalent = survivors.filter((survivor) => reasonOf(survivor) !== undefined);
  return `# Mutation testing

Made by \`npx -y pnpm@12 test:mutation\`, which takes files and folders. Each mutant changes one place of the code, or one condition of an SQL statement, and the tests of its folder run until one fails.
Survivors then meet further tests; column _tests_ has whether they did.
The score is the share of mutants that a test noticed. A mutant that never ends counts as noticed. In a row with _sampled_ only some mutants were run, the same ones each time: its score is that of the sample.
Equivalent mutants, which no test can notice, stay in the score and are listed with their reasons.

## Scores

${table([
  [
    "folder",
    "mutants",
    "of",
    "killed",
    "timed out",
    "survived",
    "equivalent",
    "score",
    "date",
    "command",
  ],
  Array.from({ length: 10 }, () => "---"),
  ...AREAS.flatMap((area) => rowsOf(area, results)),
])}

## Tests

${table([
  ["folder", "tests", "further tests"],
  ["---", "---", "---"],
  ...AREAS.map(({ folder, tests, further }) => [`\`${folder}\``, namesOf(tests), namesOf(further)]),
])}

## Files

Seconds were measured on a machine that did other work as well.

${table([
  ["file", "mutants", "noticed", "survived", "score", "tests", "date (UTC)", "seconds"],
  Array.from({ length: 8 }, () => "---"),
  ...results.map(fileRow),
])}

${unmeasured(results)}

## Open survivors

${open.length === 0 ? "None." : table([...HEAD, ...open.map(survivorRow)])}

## Equivalent mutants

${equivalent.length === 0 ? "None." : table([...HEAD_WITH_REASON, ...equivalent.map((survivor) => [...survivorRow(survivor), reasonOf(survivor) ?? ""])])}
`;
}

const HEAD = [
  ["place", "mutator", "original", "mutant", "tests"],
  ["---", "---", "---", "---", "---"],
];
const HEAD_WITH_REASON = HEAD.map((row, index) => [...row, index === 0 ? "reason" : "---"]);

function rowsOf(area: Area, results: readonly FileResult[]): string[][] {
  const own = results.filter(({ file }) => areaOf(file) === area);
  const name = `\`${area.folder}\``;
  if (own.length === 0) return [[name, "not run", ...Array.from({ length: 8 }, () => "")]];
  const kinds = [...new Set(own.map(({ kind }) => kind))];
  return kinds.map((kind) => {
    const of = own.filter((result) => result.kind === kind);
    const survivors = of.flatMap((result) => result.survivors);
    const sum = (pick: (result: FileResult) => number): number =>
      of.reduce((total, result) => total + pick(result), 0);
    const mutants = sum(countMutants);
    const equivalent = survivors.filter((survivor) => reasonOf(survivor) !== undefined).length;
    const files = globSync(`${area.folder}/**/*.ts`, { cwd: ROOT });
    const isPart = kind === "code" && of.length < files.length;
    const dates = of.map(({ date }) => date.slice(0, 10)).toSorted();
    return [
      isPart ? `${name}, ${of.length} of ${files.length} files` : name,
      mutantsOf(of),
      KINDS[kind],
      String(sum(({ killed }) => killed)),
      String(sum(({ timedOut }) => timedOut)),
      String(survivors.length),
      String(equivalent),
      percent(mutants - survivors.length, mutants),
      dates.at(-1) ?? "",
      `\`test:mutation ${area.folder} --mutators ${kind}${sampleOf(of)}\``,
    ];
  });
}

function fileRow(result: FileResult): string[] {
  const mutants = countMutants(result);
  const noticed = result.killed + result.timedOut;
  return [
    `\`${result.file}\``,
    `${mutantsOf([result])}, ${KINDS[result.kind]}`,
    String(noticed),
    String(result.survivors.length),
    percent(noticed, mutants),
    result.hasMetAll ? "with the further ones" : "of the folder",
    result.date,
    String(result.seconds),
  ];
}

/** Returns how many mutants were run, and of how many if some were left out. */
function mutantsOf(results: readonly FileResult[]): string {
  const run = results.reduce((sum, result) => sum + countMutants(result), 0);
  const all = results.reduce((sum, result) => sum + (result.sample?.of ?? countMutants(result)), 0);
  return results.some(({ sample }) => sample !== undefined)
    ? `${run} of ${all}, sampled`
    : String(run);
}

function sampleOf(results: readonly FileResult[]): string {
  const sizes = results.map(({ sample }) => sample?.size ?? 1);
  const largest = Math.max(...sizes);
  return largest === 1 ? "" : ` --sample ${largest}`;
}

function namesOf(tests: readonly string[]): string {
  return tests.map((test) => `\`${test}\``).join(", ");
}

/** Names the files of areas that have a result, if they have none themselves. */
function unmeasured(results: readonly FileResult[]): string {
  const measured = new Set(results.map(({ file }) => file));
  const missing = AREAS.filter((area) => results.some(({ file }) => areaOf(file) === area))
    .flatMap(({ folder }) => globSync(`${folder}/**/*.ts`, { cwd: ROOT }))
    .filter((file) => !measured.has(file))
    .toSorted();
  if (missing.length === 0) return "Every file of these folders was run.";
  return `Not run in these folders: ${missing.map((file) => `\`${file}\``).join(", ")}.`;
}

function survivorRow({ file, line, mutator, original, replacement, status }: Survivor): string[] {
  return [`\`${file}:${line}\``, mutator, code(original), code(replacement), status];
}

/** Returns a text as code of a table's cell. */
function code(text: string): string {
  if (text === "") return "(removed)";
  const marks = text.includes("`") ? "``" : "`";
  return `${marks} ${text.replaceAll("|", String.raw`\|`)} ${marks}`.replaceAll(/^` | `$/g, "`");
}

function percent(part: number, whole: number): string {
  return whole === 0 ? "–" : `${((100 * part) / whole).toFixed(1)} %`;
}
