/** Pages of the site in the order of its sidebar. The build fails if a page of `docs/` has no section. */
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { withoutCode } from "../scripts/slug.ts";

/** Folder of the Markdown sources. */
export const DOCS: string = fileURLToPath(new URL("../docs/", import.meta.url));

export interface Section {
  readonly title: string;
  /** Paths below `docs/`, without `.md`. */
  readonly pages: readonly string[];
}

const GUIDES: readonly Section[] = [
  { title: "Start", pages: ["index", "story", "guides/README"] },
  {
    title: "In the page",
    pages: guides(
      "outcomes storage sign-out react ky axios openapi-fetch generated-clients testing",
    ),
  },
  {
    title: "In the handler",
    pages: guides(
      "plugin strategies existing-backend orm savepoints lease jobs webhooks validation testing-handlers crash-testing encryption",
    ),
  },
  { title: "With your framework", pages: guides("neighbours nestjs trpc graphql migrating") },
  {
    title: "In operation",
    pages: guides(
      "stuck-keys command operator telemetry costs poolers serverless bun partitions distributed",
    ),
  },
];

/** @param names separated by spaces. */
function guides(names: string): string[] {
  return names.split(" ").map((name) => `guides/${name}`);
}

/** Returns every section of the site. Folders of generated and of similar pages list themselves. */
export function listSections(): readonly Section[] {
  return [
    ...GUIDES,
    { title: "More guides", pages: pagesOf("guides").filter(isUnsorted) },
    { title: "Reference", pages: pagesOf("reference") },
    { title: "Runbook", pages: pagesOf("runbook") },
    { title: "Reports", pages: pagesOf("reports") },
    { title: "Decisions", pages: pagesOf("decisions") },
  ].filter(({ pages }) => pages.length > 0);
}

function isUnsorted(page: string): boolean {
  return !GUIDES.some(({ pages }) => pages.includes(page));
}

/** Returns the first heading of a page. */
export function titleOf(page: string): string {
  const [, title] = /^#\s+(.+)$/m.exec(readPage(page)) ?? [];
  if (title === undefined) throw new Error(`docs/${page}.md has no heading of level 1`);
  return title.replaceAll("`", "");
}

/** Returns the first sentence of a page as one line of plain text. */
export function summaryOf(page: string): string {
  const paragraphs = withoutCode(readPage(page)).split(/\n{2,}/);
  const first = paragraphs.find((text) => /^[\p{L}`[_*]/u.test(text.trim())) ?? "";
  const plain = first.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1").replaceAll(/[`*]/g, "");
  const [sentence = plain] = /^.*?\.(?=\s|$)/s.exec(plain.trim()) ?? [];
  return sentence.replaceAll(/\s+/g, " ").trim();
}

export function readPage(page: string): string {
  return readFileSync(join(DOCS, `${page}.md`), "utf8");
}

/** @throws Error with the pages that no section has. */
export function checkComplete(sections: readonly Section[]): void {
  const listed = new Set(sections.flatMap(({ pages }) => pages));
  const missing = allPages().filter((page) => !listed.has(page));
  if (missing.length > 0)
    throw new Error(`add to site/pages.ts: ${missing.map((page) => `docs/${page}.md`).join(", ")}`);
}

function pagesOf(folder: string): string[] {
  const pages = allPages().filter((page) => page.startsWith(`${folder}/`));
  // The index of a folder comes first.
  const isIndex = (page: string): boolean => /\/(README|index)$/.test(page);
  return [...pages.filter(isIndex), ...pages.filter((page) => !isIndex(page))];
}

function allPages(): string[] {
  return readdirSync(DOCS, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) => relative(DOCS, join(entry.parentPath, entry.name)).slice(0, -".md".length))
    .toSorted();
}
