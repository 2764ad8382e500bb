/** `site`: builds the site into `site/dist`, offline, and fails on dead links, missing anchors and anything that a page loads from elsewhere. */
import { fileURLToPath } from "node:url";
import { build } from "vitepress";
import { checkSite } from "./check-site.ts";

const ROOT = fileURLToPath(new URL(".", import.meta.url));

await build(ROOT);
const problems = await checkSite(`${ROOT}dist`);
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log(
  "Every link and anchor leads somewhere. Open site/dist/index.html through a web server.",
);
