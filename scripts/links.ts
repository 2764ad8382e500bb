/** `links`: checks that every relative link and image in tracked Markdown leads to a file, and every anchor to a heading. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { anchorsOf, withoutCode } from "./slug.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const LINK = /\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)|^\[[^\]]+\]:\s+(\S+)/gm;

const listed = execFileSync("git", ["ls-files", "-z", "-co", "--exclude-standard", "*.md"], {
  cwd: ROOT,
  encoding: "utf8",
});
const files = listed.split("\0").filter((file) => file !== "" && existsSync(join(ROOT, file)));
const wrong = files.flatMap((file) => checkPage(join(ROOT, file)));
for (const line of wrong) console.error(line);
if (wrong.length > 0) process.exit(1);

function checkPage(page: string): string[] {
  // A link in inline code is an example of one.
  const text = withoutCode(readFileSync(page, "utf8")).replaceAll(/`[^`\n]*`/g, "");
  return [...text.matchAll(LINK)].flatMap(([, inline, reference]) => {
    const href = inline ?? reference ?? "";
    if (/^[a-z][a-z+.-]*:|^\/\//i.test(href)) return [];
    const problem = checkLink(page, decodeURI(href));
    return problem === undefined ? [] : [`${relative(ROOT, page)}: ${href}: ${problem}`];
  });
}

function checkLink(page: string, href: string): string | undefined {
  const [path = "", anchor] = href.split("#");
  const target = path === "" ? page : join(dirname(page), path);
  if (!existsSync(target)) return "no such file";
  if (anchor === undefined) return undefined;
  const file = statSync(target).isDirectory() ? join(target, "README.md") : target;
  if (!file.endsWith(".md")) return "an anchor in a file that is not Markdown";
  return anchorsOf(readFileSync(file, "utf8")).has(anchor) ? undefined : "no such heading";
}
