#!/usr/bin/env node
/** `npm create oncekey [folder]`: copies a shop that runs into an empty folder. */
import { cpSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
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
cpSync(join(import.meta.dirname, "template"), folder, { recursive: true });
// npm packs no .gitignore.
renameSync(join(folder, "gitignore"), join(folder, ".gitignore"));
const manifest = join(folder, "package.json");
const name = basename(folder)
  .toLowerCase()
  .replaceAll(/[^a-z0-9-]+/g, "-");
writeFileSync(manifest, readFileSync(manifest, "utf8").replace('"shop"', JSON.stringify(name)));

const enter = folder === process.cwd() ? "" : `cd ${relative(process.cwd(), folder)}\n  `;
console.log(`A shop is in ${folder}. Next:

  ${enter}npm install
  DATABASE_URL=postgres://postgres@localhost/postgres npm start   # your PostgreSQL, or the one of README.md
`);
