import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { packClient } from "./packed.ts";
import type { Packed } from "./packed.ts";

const run = promisify(execFile);
const VERSIONS = join(import.meta.dirname, "node-versions/node_modules");
const NODES = [
  { name: "the Node of this run", path: process.execPath },
  ...["22", "26"].map((version) => ({
    name: `Node ${version}, which npm brings for Linux x64 alone`,
    path: join(VERSIONS, `node-${version}-linux-x64/bin/node`),
  })),
];

/** The only entries that need a peer, and theirs. */
const PEERS: Readonly<Record<string, string>> = { "@oncekey/client/react": "react" };

let packed: Packed;
/** The folder from which an entry is imported: with its own peer, and none of the others. */
const folders = new Map<string, string>();
// Everything is compiled and packed first, which a busy machine may take its time for.
const PACKING_MS = 240_000;
beforeAll(async () => {
  packed = await packClient();
  for (const entry of packed.entries) {
    const peer = PEERS[entry];
    folders.set(entry, peer === undefined ? packed.folder : await packed.withPeers(peer));
  }
}, PACKING_MS);
afterAll(async () => {
  for (const folder of new Set(folders.values())) await rm(folder, { recursive: true });
});

/** Returns the exports of an entry in a process that has loaded nothing else. */
async function namesIn(
  node: string,
  folder: string,
  entry: string,
  how: string,
): Promise<string[]> {
  const load =
    how === "require"
      ? `require(${JSON.stringify(entry)})`
      : `await import(${JSON.stringify(entry)})`;
  const type = how === "require" ? "commonjs" : "module";
  const script = `console.log(JSON.stringify(Object.keys(${load})))`;
  const { stdout } = await run(node, [`--input-type=${type}`, "-e", script], { cwd: folder });
  return (JSON.parse(stdout) as string[]).toSorted();
}

const TRIED = NODES.map(({ name, path }) => {
  // Without its optional dependency, which only this platform's package can be.
  const isThere = existsSync(path);
  return {
    path,
    isThere,
    title: isThere ? name : `${name} (skipped: its binary is not installed)`,
  };
});

describe.each(TRIED)("in $title", ({ path, isThere }) => {
  it.skipIf(!isThere).each(["import", "require"])(
    "each entry stands alone by %s, without the peers of the others, and has what its source has",
    async (how) => {
      const check = async ([entry, folder]: [string, string]): Promise<void> => {
        const source = Object.keys((await import(entry)) as object).toSorted();
        expect(await namesIn(path, folder, entry, how), entry).toEqual(source);
      };
      expect(folders.size).toBeGreaterThan(1);
      await Promise.all([...folders].map(check));
    },
  );
});

it("an entry without its peer names the missing one", async () => {
  for (const [entry, peer] of Object.entries(PEERS)) {
    await expect(namesIn(process.execPath, packed.folder, entry, "import")).rejects.toThrow(
      `Cannot find package '${peer}'`,
    );
  }
});

it("the package has its sources, what is built of them, a page and a skill about it, and nothing else", () => {
  const stranger = packed.files.filter(
    (file) =>
      !/^(dist|src)\/.*\.(js|ts|map)$/.test(file) &&
      !["package.json", "README.md", "skills/oncekey-client/SKILL.md"].includes(file),
  );
  expect(stranger).toEqual([]);
  expect(packed.files).toContain("dist/index.d.ts");
});
