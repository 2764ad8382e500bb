import { posix } from "node:path";
import { defineConfig } from "vitepress";
import { slug } from "../../scripts/slug.ts";
import { checkComplete, DOCS, listSections, titleOf } from "../pages.ts";
import type { Section } from "../pages.ts";
import { writeMarkdown } from "../write-markdown.ts";

const REPOSITORY = "https://github.com/oncekey/oncekey";

const sections = listSections();
checkComplete(sections);

export default defineConfig({
  title: "Oncekey",
  description: "One key, one effect: safe retries from the browser to the commit in Postgres.",
  lang: "en",
  srcDir: DOCS,
  outDir: "./dist",
  cacheDir: "./node_modules/.cache/vitepress",
  // A README is the index of its folder, on a forge and here.
  rewrites: (page) => page.replace(/README\.md$/, "index.md"),
  cleanUrls: false,
  lastUpdated: false,
  vite: { publicDir: false, build: { chunkSizeWarningLimit: 2_000 } },
  markdown: {
    anchor: { slugify: slug },
    theme: { light: "github-light-high-contrast", dark: "github-dark-high-contrast" },
    config(markdown) {
      const { link_open: open } = markdown.renderer.rules;
      markdown.renderer.rules["link_open"] = (tokens, index, options, env, self) => {
        const token = tokens[index];
        const href = token?.attrGet("href") ?? "";
        token?.attrSet("href", toSiteLink(String(env.relativePath), href));
        return open === undefined
          ? self.renderToken(tokens, index, options)
          : open(tokens, index, options, env, self);
      };
      // Screen readers announce a header cell: the empty one above row titles is no header.
      markdown.core.ruler.push("empty-headers", ({ tokens }) => {
        for (const [index, token] of tokens.entries()) {
          const [content, close] = [tokens[index + 1], tokens[index + 2]];
          if (token.type !== "th_open" || content?.content !== "" || close === undefined) continue;
          token.tag = "td";
          close.tag = "td";
        }
      });
    },
  },
  themeConfig: {
    search: { provider: "local" },
    outline: { level: [2, 3] },
    nav: [
      { text: "Story", link: "/story" },
      { text: "Guides", link: "/guides/" },
      { text: "Reference", link: "/reference/" },
      { text: "Runbook", link: "/runbook/" },
      { text: "Decisions", link: "/decisions/" },
    ],
    sidebar: sections.map(toSidebar),
    externalLinkIcon: true,
  },
  buildEnd: ({ outDir }) => writeMarkdown(sections, outDir),
});

function toSidebar({ title, pages }: Section): object {
  return {
    text: title,
    items: pages.map((page) => ({
      text: titleOf(page),
      link: `/${page.replace(/(^|\/)(README|index)$/, "$1")}`,
    })),
  };
}

/** Returns the site's link for a relative one in the repository: the forge's address if it leads out of `docs/`. */
function toSiteLink(page: string, href: string): string {
  if (/^([a-z]+:|#|\/)/i.test(href)) return href;
  const target = posix.join("docs", posix.dirname(page), href);
  if (target.startsWith("docs/")) return href.replace(/README\.md(?=#|$)/, "index.md");
  return `${REPOSITORY}/blob/main/${target}`;
}
