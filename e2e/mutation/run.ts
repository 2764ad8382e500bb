/** `test:mutation`: changes the code one place at a time, and reports the changes that no test notices. */
import { globSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import { copyProject } from "../chaos/mutants/copy.ts";
import type { ProjectCopy } from "../chaos/mutants/copy.ts";
import { AREAS, areaOf, findAreas } from "./areas.ts";
import type { Area } from "./areas.ts";
import { readChangedLines } from "./changed-lines.ts";
import type { Lines } from "./changed-lines.ts";
import { runCodeMutants, runSurvivors } from "./code-mutants.ts";
import type { Measured } from "./code-mutants.ts";
import { reasonOf } from "./equivalent.ts";
import { keepResults, readResults, writeMutationPage } from "./keep.ts";
import { countMutants } from "./result.ts";
import type { FileResult, MutatorKind } from "./result.ts";
import { readSettings, USAGE } from "./settings.ts";
import type { Settings } from "./settings.ts";
import { runSqlMutants } from "./sql-mutants.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const CACHE = join(ROOT, "node_modules/.cache/oncekey-mutation");
const MINUTE_MS = 60_000;
const WRONG_WORDS = 2;

interface Task {
  readonly file: string;
  readonly area: Area;
  readonly kind: MutatorKind;
  readonly lines?: readonly Lines[];
}

const settings = read();
if (settings !== undefined) await perform(settings);

function read(): Settings | undefined {
  try {
    const words = readSettings(process.argv.slice(2));
    findAreas(words.paths);
    return words;
  } catch (error) {
    if (!(error instanceof TypeError) && !(error instanceof RangeError)) throw error;
    console.error(`${error.message}\n\n${USAGE}`);
    process.exitCode = WRONG_WORDS;
    return undefined;
  }
}

async function perform(asked: Settings): Promise<void> {
  if (asked.isPageOnly) return writeMutationPage(asked.pages);
  const tasks = plan(asked);
  const endsAt = Date.now() + asked.minutes * MINUTE_MS;
  const postgres = tasks.some(({ area }) => area.usesPostgres)
    ? await startPostgres({ fsync: false })
    : undefined;
  if (postgres !== undefined) process.env["ONCEKEY_TEST_POSTGRES"] = postgres.url("postgres");
  const copy = await copyProject();
  process.chdir(copy.folder);
  await mkdir(CACHE, { recursive: true });
  const results: FileResult[] = [];
  const keep = async (fresh: readonly FileResult[]): Promise<void> => {
    if (!asked.isChanged) await keepResults(asked.pages, fresh);
  };
  try {
    for (const [area, own] of Map.groupBy(tasks, ({ area: { folder } }) => areaOf(folder))) {
      if (area === undefined || Date.now() > endsAt) continue;
      if (asked.isSurvivorsOnly) {
        const files = new Set(own.map(({ file }) => file));
        const kept = readResults(asked.pages, area.folder).filter(({ file }) => files.has(file));
        const judged = await runFurther(
          kept,
          asked.hasFurther ? [...area.tests, ...area.further] : area.tests,
          asked.hasFurther,
        );
        await keep(judged);
        results.push(...judged);
        continue;
      }
      const measured = await measureCode(area, own, asked.sample);
      await keep(measured);
      for (const task of own) {
        if (task.kind === "code") continue;
        if (Date.now() > endsAt) break;
        const result = await measureSql(copy, task, asked.sample);
        measured.push(result);
        await keep([result]);
      }
      const judged = asked.hasFurther ? await runFurther(measured, area.further) : measured;
      if (judged !== measured) await keep(judged);
      results.push(...judged);
    }
  } finally {
    process.chdir(ROOT);
    await copy.remove();
    await postgres?.stop();
  }
  const open = results.reduce((sum, result) => sum + report(result), 0);
  console.log(`${open} open survivors`);
  if (open > 0) process.exitCode = 1;
}

function plan({ paths, isChanged, mutators }: Settings): Task[] {
  const changed = isChanged
    ? readChangedLines(
        ROOT,
        AREAS.map(({ folder }) => folder),
      )
    : undefined;
  return findAreas(paths).flatMap((area) =>
    filesOf(area.folder).flatMap((file): Task[] => {
      const lines = changed?.get(file);
      if (changed !== undefined && lines === undefined) return [];
      const kinds: MutatorKind[] = mutators === "all" ? ["code", "sql"] : [mutators];
      return kinds
        .filter((kind) => kind === "code" || area.folder.startsWith("server/src/store"))
        .map((kind) => ({ file, area, kind, ...(lines === undefined ? {} : { lines }) }));
    }),
  );
}

function filesOf(path: string): string[] {
  if (path.endsWith(".ts")) return [path];
  return globSync(`${path}/**/*.ts`, { cwd: ROOT }).toSorted();
}

/** Runs the code mutants of all files of an area together. Each file gets its share of the time. */
async function measureCode(
  { folder, tests }: Area,
  tasks: readonly Task[],
  sample: number,
): Promise<FileResult[]> {
  const files = tasks.filter(({ kind }) => kind === "code");
  if (files.length === 0) return [];
  console.log(`\n${files.map(({ file }) => file).join(", ")}`);
  const began = Date.now();
  // The lines of a change are too few to be worth a file of results, and a sample must not pass for all.
  const isWhole = sample === 1 && files.every(({ lines }) => lines === undefined);
  const incrementalFile = join(CACHE, `${folder.replaceAll("/", "+")}.json`);
  const found = await runCodeMutants({
    files,
    tests,
    sample,
    ...(isWhole ? { incrementalFile } : {}),
  });
  const seconds = Math.round((Date.now() - began) / 1000);
  const results = [...found].map(([file, measured]) => resultOf(file, "code", seconds, measured));
  const all = results.reduce((sum, result) => sum + countMutants(result), 0);
  return results.map((result) => {
    const share = Math.round((seconds * countMutants(result)) / Math.max(1, all));
    return { ...result, seconds: share };
  });
}

async function measureSql(
  copy: ProjectCopy,
  { file, area, lines }: Task,
  sample: number,
): Promise<FileResult> {
  console.log(`\n${file}, SQL`);
  const began = Date.now();
  const only = lines === undefined ? {} : { lines };
  const measured = await runSqlMutants(copy, { file, tests: area.tests, sample, ...only });
  return resultOf(file, "sql", Math.round((Date.now() - began) / 1000), measured);
}

function resultOf(
  file: string,
  kind: MutatorKind,
  seconds: number,
  measured: Measured,
): FileResult {
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  return { file, kind, date, seconds, ...measured };
}

/** Runs tests against the open survivors. A survivor that they notice counts as killed. */
async function runFurther(
  results: readonly FileResult[],
  tests: readonly string[],
  isAll = true,
): Promise<readonly FileResult[]> {
  const met = isAll ? { hasMetAll: true } : {};
  const open = results
    .filter(({ kind }) => kind === "code")
    .flatMap(({ survivors }) => survivors)
    .filter((survivor) => reasonOf(survivor) === undefined);
  if (tests.length === 0) return results;
  if (open.length === 0) return results.map((result) => ({ ...result, ...met }));
  console.log(`\n${open.length} survivors, further tests`);
  const noticed = new Set(await runSurvivors(open, tests));
  return results.map((result) => {
    const survivors = result.survivors.filter((survivor) => !noticed.has(survivor));
    const killed = result.killed + result.survivors.length - survivors.length;
    return { ...result, killed, survivors, ...met };
  });
}

/** Prints a file's result, and returns how many survivors have no reason yet. */
function report({ file, kind, killed, timedOut, survivors, seconds }: FileResult): number {
  const open = survivors.filter((survivor) => reasonOf(survivor) === undefined);
  console.log(
    `\n${file}, ${kind}: ${killed} killed, ${timedOut} timed out, ${survivors.length} survived, ${open.length} of them open, in ${seconds} s`,
  );
  for (const { line, mutator, original, replacement, status } of open)
    console.log(`  line ${line}, ${mutator}, ${status}: ${original} → ${replacement}`);
  return open.length;
}
