/** Pages that a command writes about what it measured: where they are, what they begin with, how they look. */
import { execFileSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism, loadavg } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** @param name within `docs`. A page of text is formatted as the rest of the project is. */
export async function writePage(name: string, text: string): Promise<void> {
  const file = join(ROOT, "docs", name);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, text);
  if (name.endsWith(".md"))
    execFileSync(join(ROOT, "node_modules/.bin/oxfmt"), [file], { stdio: "pipe" });
  console.log(`written: docs/${name}`);
}

/** When and on what a page was made. */
export function provenance(command: string): string {
  const git = ["rev-parse", "--short=10", "HEAD"];
  const commit = execFileSync("git", git, { cwd: ROOT, encoding: "utf8" }).trim();
  const date = new Date().toISOString().slice(0, 16).replace("T", " ");
  const load = loadavg()[0]?.toFixed(1);
  return `Made by \`${command}\` on ${date} UTC, commit \`${commit}\`, Node ${process.versions.node}, ${availableParallelism()} cores with a load of ${load} at the end.`;
}

export function table(rows: readonly (readonly string[])[]): string {
  return rows.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
