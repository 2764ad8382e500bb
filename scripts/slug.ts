/**
 * Returns the anchor of a heading as public forges make it, so that one link works in the
 * repository and on the site.
 *
 * @param heading its text, with or without Markdown.
 */
export function slug(heading: string): string {
  return heading
    .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
    .replaceAll(/<[^>]*>/g, "")
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M}_\- ]/gu, "")
    .trim()
    .replaceAll(" ", "-");
}

/** Returns the anchors of a Markdown page. A heading that occurs twice gets a number. */
export function anchorsOf(markdown: string): ReadonlySet<string> {
  const seen = new Map<string, number>();
  const anchors = new Set<string>();
  for (const [, heading = ""] of withoutCode(markdown).matchAll(/^#{1,6}\s+(.+?)\s*#*$/gm)) {
    const base = slug(heading);
    const count = seen.get(base) ?? 0;
    seen.set(base, count + 1);
    anchors.add(count === 0 ? base : `${base}-${count}`);
  }
  for (const [, id = ""] of markdown.matchAll(/\bid="([^"]+)"/g)) anchors.add(id);
  return anchors;
}

/** Returns the page without its fenced blocks: what looks like a heading or a link there is code. */
export function withoutCode(markdown: string): string {
  return markdown.replaceAll(/^(\s*)(```+|~~~+)[^]*?^\s*\2\s*$/gm, "");
}
