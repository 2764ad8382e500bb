/** The blocks of output in `docs/story.md`: each follows a comment with its name. */
import { fileURLToPath } from "node:url";

export const PAGE: string = fileURLToPath(new URL("../../../docs/story.md", import.meta.url));

const BLOCK = /(<!-- output: ([^>]+) -->\n\n```text\n)([^]*?)(\n```)/g;

export function readBlocks(page: string): ReadonlyMap<string, string> {
  const blocks = page.matchAll(BLOCK);
  return new Map([...blocks].map(([, , name = "", output = ""]) => [name, output]));
}

export function writeBlocks(page: string, outputs: ReadonlyMap<string, string>): string {
  return page.replaceAll(
    BLOCK,
    (_block, head: string, name: string, old: string, end: string) =>
      `${head}${outputs.get(name) ?? old}${end}`,
  );
}
