/** Files of the site for programs that read text: `llms.txt`, and a Markdown file beside each page. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { readPage, summaryOf, titleOf } from "./pages.ts";
import type { Section } from "./pages.ts";

export async function writeMarkdown(sections: readonly Section[], folder: string): Promise<void> {
  const pages = sections.flatMap((section) => section.pages);
  await Promise.all(
    pages.map(async (page) => {
      const file = join(folder, toFile(page));
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, readPage(page).replaceAll(/\bREADME\.md\b/g, "index.md"));
    }),
  );
  await writeFile(join(folder, "llms.txt"), formatIndex(sections));
}

function formatIndex(sections: readonly Section[]): string {
  const lines = sections.flatMap(({ title, pages }) => [
    "",
    `## ${title}`,
    "",
    ...pages.map((page) => `- [${titleOf(page)}](/${toFile(page)}): ${summaryOf(page)}`),
  ]);
  return `# Oncekey\n\n> ${summaryOf("index")}\n${lines.join("\n")}\n`;
}

function toFile(page: string): string {
  return `${page.replace(/README$/, "index")}.md`;
}
