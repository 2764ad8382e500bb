#!/usr/bin/env node
/** `npm create oncekey [folder]`: copies a shop that runs into an empty folder. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";

const { positionals } = parseArgs({ allowPositionals: true });
const folder = resolve(positionals[0] ?? ".");
mkdirSync(folder, { recursive: true });
if (readdirSync(folder).length > 0) {
  console.error(
    `${folder} is not empty; give the name of a new folder: npm create oncekey my-shop`,
  );
  process.exit(1);
}
const template = join(import.meta.dirname, "template");
// One by one: cpSync cannot read the archives in which Yarn keeps packages.
for (const file of readdirSync(template)) {
  // npm packs no .gitignore.
  const to = file === "gitignore" ? ".gitignore" : file;
  writeFileSync(join(folder, to), readFileSync(join(template, file)));
}
const manifest = join(folder, "package.json");
const name = basename(folder)
  .toLowerCase()
  .replaceAll(/[^a-z0-9-]+/g, "-");
writeFileSync(manifest, readFileSync(manifest, "utf8").replace('"shop"', JSON.stringify(name)));

// npm, pnpm, yarn and bun name themselves to the command that they start.
const agent = process.env["npm_config_user_agent"] ?? "";
const [manager = "npm"] = /^(?:npm|pnpm|yarn|bun)\b/.exec(agent) ?? [];
// Plug'n'Play, the default of Yarn 2 and later, loads no TypeScript modules.
if (/^yarn\/(?:[2-9]|\d\d)/.test(agent))
  writeFileSync(join(folder, ".yarnrc.yml"), "nodeLinker: node-modules\n");
const enter = folder === process.cwd() ? "" : `cd ${relative(process.cwd(), folder)}\n  `;
console.log(`A shop is in ${folder}. Next:

  ${enter}${manager} install
  DATABASE_URL=postgres://postgres@localhost/postgres ${manager} start   # your PostgreSQL; README.md starts one by Docker

Then open http://localhost:3000.
`);
