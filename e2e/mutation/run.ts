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
        const judged = await runFurther(kept, [...area.tests, ...area.further]);
        await keep(judged);
        results.push(...judged);
        continue;
      }
      const measured: FileResult[] = [];
      for (const task of own) {
        if (Date.now() > endsAt) break;
        const result = await measure(task, () => runTask(copy, task));
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

async function runTask(copy: ProjectCopy, { file, area, kind, lines }: Task): Promise<Measured> {
  const { tests } = area;
  console.log(`\n${file}, ${kind}`);
  const only = lines === undefined ? {} : { lines };
  if (kind === "sql") return runSqlMutants(copy, { file, tests, ...only });
  // The lines of a change are too few to be worth a file of results.
  const incrementalFile = join(CACHE, `${file.replaceAll("/", "+")}.json`);
  return runCodeMutants({ file, tests, ...(lines === undefined ? { incrementalFile } : only) });
}

async function measure(
  { file, kind }: Task,
  running: () => Promise<Measured>,
): Promise<FileResult> {
  const began = Date.now();
  const measured = await running();
  const seconds = Math.round((Date.now() - began) / 1000);
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  return { file, kind, date, seconds, ...measured };
}

/** Runs further tests against the open survivors. A survivor that they notice counts as killed. */
async function runFurther(
  results: readonly FileResult[],
  tests: readonly string[],
): Promise<readonly FileResult[]> {
  const open = results
    .filter(({ kind }) => kind === "code")
    .flatMap(({ survivors }) => survivors)
    .filter((survivor) => reasonOf(survivor) === undefined);
  if (tests.length === 0) return results;
  if (open.length === 0) return results.map((result) => ({ ...result, hasMetAll: true }));
  console.log(`\n${open.length} survivors, further tests`);
  const noticed = new Set(await runSurvivors(open, tests));
  return results.map((result) => {
    const survivors = result.survivors.filter((survivor) => !noticed.has(survivor));
    const killed = result.killed + result.survivors.length - survivors.length;
    return { ...result, killed, survivors, hasMetAll: true };
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
