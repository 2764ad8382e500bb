/** Checks a built site: links, anchors, and that its pages load nothing from another origin. */
import { existsSync } from "node:fs";
import { glob, readFile } from "node:fs/promises";
import { join, posix } from "node:path";

/** Returns one line for each problem. */
export async function checkSite(folder: string): Promise<string[]> {
  const pages = new Map<string, Page>();
  for await (const file of glob("**/*.html", { cwd: folder }))
    pages.set(`/${file}`, readHtml(await readFile(join(folder, file), "utf8")));
  return [...pages].flatMap(([path, { links, loads }]) => [
    ...links.flatMap((href) => checkHref(path, href, pages, folder)),
    ...loads
      .filter((url) => /^([a-z]+:)?\/\//i.test(url))
      .map((url) => `${path}: loads ${url} from elsewhere`),
  ]);
}

interface Page {
  readonly links: readonly string[];
  readonly loads: readonly string[];
  readonly ids: ReadonlySet<string>;
}

function readHtml(html: string): Page {
  const all = (pattern: RegExp): string[] =>
    [...html.matchAll(pattern)].map(([, value = ""]) => value.replaceAll("&amp;", "&"));
  return {
    links: all(/<a\b[^>]*?\shref="([^"]*)"/g),
    loads: [
      ...all(/<(?:script|img|iframe)\b[^>]*?\ssrc="([^"]*)"/g),
      ...all(/<link\b[^>]*?\shref="([^"]*)"/g),
    ],
    ids: new Set(all(/\sid="([^"]*)"/g)),
  };
}

function checkHref(
  page: string,
  href: string,
  pages: ReadonlyMap<string, Page>,
  folder: string,
): string[] {
  if (/^[a-z][a-z+.-]*:/i.test(href)) return [];
  const [path = "", anchor = ""] = href.split("#").map(decodeURIComponent);
  const target = path === "" ? page : posix.resolve(posix.dirname(page), path);
  const file = path.endsWith("/") ? posix.join(target, "index.html") : target;
  const found = pages.get(file) ?? pages.get(`${file}.html`);
  if (found === undefined)
    return existsSync(join(folder, file)) ? [] : [`${page}: ${href} leads nowhere`];
  return anchor === "" || found.ids.has(anchor) ? [] : [`${page}: ${href} has no such anchor`];
}
