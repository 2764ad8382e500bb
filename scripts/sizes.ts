/** `sizes`: what each entry of the client adds to a page, held to a limit. A kilobyte is 1000 bytes here. */
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { bundle } from "@oncekey/test-support/browser/bundle";

const ROOT = fileURLToPath(new URL("..", import.meta.url));

interface Entry {
  readonly name: string;
  /** Code of a page that imports the entry. */
  readonly code: string;
  /** Largest size of the minified bundle, compressed by gzip. 0: the bundle must be empty. */
  readonly limitBytes: number;
  /** Modules that the page has already. */
  readonly external?: readonly string[];
  /** No module may come from here. */
  readonly without: RegExp;
}

// A page has no modules for tests, for Node or for other entries.
const NOT_FOR_PAGES = /[/\\](msw|react|@tanstack)[/\\]|[/\\]testing\b|^node:/;

// ky, p-retry and uuid take 10.5 kB of the first two: 8.6, 1.8 and 0.8, less what they share.
const ENTRIES: readonly Entry[] = [
  {
    name: "@oncekey/client, all of it",
    code: 'export * from "@oncekey/client"',
    limitBytes: 31_610,
    without: NOT_FOR_PAGES,
  },
  {
    name: "createClient and webStorage",
    code: 'export { createClient, webStorage } from "@oncekey/client"',
    limitBytes: 30_900,
    without: NOT_FOR_PAGES,
  },
  {
    name: "@oncekey/client/fetch",
    code: 'export { createIdempotentFetch } from "@oncekey/client/fetch"',
    limitBytes: 8_000,
    without: /[/\\](ky|p-retry)[/\\]|[/\\]storage[/\\]/,
  },
  {
    name: "@oncekey/client/react",
    code: 'export * from "@oncekey/client/react"',
    limitBytes: 800,
    external: ["react"],
    without: /[/\\](p-retry|shared)[/\\]/,
  },
  {
    name: "@oncekey/client/tanstack-query",
    code: 'export * from "@oncekey/client/tanstack-query"',
    limitBytes: 800,
    without: /[/\\](p-retry|shared|@tanstack)[/\\]/,
  },
  {
    name: "isIdempotencyError alone",
    code: 'export { isIdempotencyError } from "@oncekey/client"',
    limitBytes: 300,
    without: /[/\\](p-retry)[/\\]/,
  },
  {
    name: "imports that are not used",
    code: 'import { createClient } from "@oncekey/client"; import { createModelServer } from "@oncekey/client/testing"',
    limitBytes: 0,
    without: /@oncekey/,
  },
];

const rows = await Promise.all(ENTRIES.map(measure));
const width = Math.max(...rows.map(({ name }) => name.length));
for (const { name, bytes, limitBytes, strangers } of rows) {
  const verdict = bytes > limitBytes ? "  TOO LARGE" : "";
  console.log(`${name.padEnd(width)}  ${inKb(bytes)} of ${inKb(limitBytes)} kB${verdict}`);
  for (const module of strangers) console.log(`  HAS NO PLACE HERE: ${module}`);
}
const isRight = rows.every(
  ({ bytes, limitBytes, strangers }) => bytes <= limitBytes && strangers.length === 0,
);
process.exitCode = isRight ? 0 : 1;

interface Measured extends Entry {
  readonly bytes: number;
  readonly strangers: readonly string[];
}

async function measure(entry: Entry): Promise<Measured> {
  const { code, modules } = await bundle(entry.code, "es", entry.external);
  const trimmed = code.trim();
  const { byteLength } = await promisify(gzip)(trimmed, { level: 9 });
  // Within the repository: its own folder may be called `react`.
  const inside = modules.map((module) => module.replace(ROOT, "/"));
  const strangers = inside.filter((module) => entry.without.test(module));
  return { ...entry, bytes: trimmed === "" ? 0 : byteLength, strangers };
}

function inKb(bytes: number): string {
  return (bytes / 1000).toFixed(1).padStart(4);
}
