/** Reads from git which lines differ from main. */
import { execFileSync } from "node:child_process";

export type Lines = readonly [from: number, to: number];

/** Returns the changed lines of each file below some folders, those that are not committed included. */
export function readChangedLines(
  root: string,
  folders: readonly string[],
): ReadonlyMap<string, readonly Lines[]> {
  const git = (...words: string[]): string =>
    execFileSync("git", words, { cwd: root, encoding: "utf8" });
  const base = git("merge-base", "main", "HEAD").trim();
  return parseDiff(
    git("diff", "--unified=0", "--no-color", "--no-ext-diff", base, "--", ...folders),
  );
}

/** Reads the output of `git diff --unified=0`. Lines that were only removed have no place in the new file. */
export function parseDiff(diff: string): ReadonlyMap<string, readonly Lines[]> {
  const found = new Map<string, Lines[]>();
  let file = "";
  for (const line of diff.split("\n")) {
    const [, name] = /^\+\+\+ (?:b\/)?(.*)$/.exec(line) ?? [];
    if (name !== undefined) file = name;
    const [, start, count = "1"] = /^@@ -\S+ \+(\d+)(?:,(\d+))? @@/.exec(line) ?? [];
    if (start === undefined || count === "0") continue;
    const from = Number(start);
    const lines = found.get(file) ?? [];
    lines.push([from, from + Number(count) - 1]);
    found.set(file, lines);
  }
  return found;
}
