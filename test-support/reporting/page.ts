/**
 * Pages that a command writes about what it measured: their folder, their first lines, their
 * tables.
 */
import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism, loadavg } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** Default folder of the pages. */
export const PAGES: string = fileURLToPath(new URL("../../docs/reports/", import.meta.url));

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Text and JSON are formatted as the rest of the project is. */
export async function writePage(file: string, text: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  if (/\.(md|json)$/.test(file))
    execFileSync(join(ROOT, "node_modules/.bin/oxfmt"), [file], { stdio: "pipe" });
  console.log(`written: ${relative(ROOT, file)}`);
}

/**
 * Returns the commit, at the beginning of a command: the files may have changed when it ends.
 * Generated pages do not count as changes.
 */
export function describeCommit(): string {
  const git = (...words: string[]): string =>
    execFileSync("git", words, { cwd: ROOT, encoding: "utf8", stdio: "pipe" }).trim();
  try {
    const commit = git("rev-parse", "--short=10", "HEAD");
    const changes = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs");
    return `commit \`${commit}\`${changes === "" ? "" : " with changes that are not committed"}`;
  } catch {
    return "a commit that is not known here";
  }
}

/**
 * Returns when and on which machine a page was made. @param commit from `describeCommit`, called at
 * the beginning.
 */
export function provenance(command: string, commit: string): string {
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  const load = loadavg()[0]?.toFixed(1);
  return `Made by \`${command}\` on ${date} UTC, ${commit}, Node ${process.versions.node}, ${availableParallelism()} cores with a load of ${load} at the end.`;
}

export function table(rows: readonly (readonly string[])[]): string {
  return rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
