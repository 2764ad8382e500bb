/** Keeps results in docs/reports/mutation/, and writes the page from all that are kept. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writePage } from "@oncekey/test-support/reporting/page";
import { AREAS, areaOf } from "./areas.ts";
import { formatPage } from "./page.ts";
import type { FileResult } from "./result.ts";

/** Adds results to those of the same area. They replace earlier ones of the same files. */
export async function keepResults(folder: string, results: readonly FileResult[]): Promise<void> {
  for (const area of new Set(results.map(({ file }) => areaOf(file)))) {
    if (area === undefined) continue;
    const fresh = results.filter(({ file }) => areaOf(file) === area);
    const isReplaced = (kept: FileResult): boolean =>
      fresh.some(({ file, kind }) => file === kept.file && kind === kept.kind);
    const kept = readResults(folder, area.folder).filter((result) => !isReplaced(result));
    const all = [...kept, ...fresh].toSorted(
      (one, other) => one.file.localeCompare(other.file) || one.kind.localeCompare(other.kind),
    );
    await writePage(fileOf(folder, area.folder), `${JSON.stringify(all)}\n`);
  }
  await writeMutationPage(folder);
}

/** Writes the page of all kept results. */
export async function writeMutationPage(folder: string): Promise<void> {
  const results = AREAS.flatMap((area) => readResults(folder, area.folder));
  await writePage(join(folder, "mutation.md"), formatPage(results));
}

/** Returns the kept results of an area. */
export function readResults(folder: string, area: string): FileResult[] {
  const file = fileOf(folder, area);
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as FileResult[]) : [];
}

function fileOf(folder: string, area: string): string {
  return join(folder, "mutation", `${area.replace("/src/", "-")}.json`);
}
