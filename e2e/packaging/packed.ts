/** The client as it is published: packed, and unpacked into a folder that has nothing but its dependencies. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, realpath, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const ROOT = join(import.meta.dirname, "../..");
const run = promisify(execFile);

export interface Packed {
  readonly folder: string;
  /** The names of the client's entries as one imports them. */
  readonly entries: readonly string[];
  /** The files in the client's tarball. */
  readonly files: readonly string[];
  /** Makes a second folder with further packages beside the client. */
  readonly withPeers: (...peers: string[]) => Promise<string>;
}

export async function packClient(): Promise<Packed> {
  // The entry for Node has a project of its own, which refers to the others.
  await run(join(ROOT, "node_modules/.bin/tsc"), ["-b", "client/tsconfig.node.json"], {
    cwd: ROOT,
  });
  const folder = await createFolder();
  const files = await unpack("client", folder);
  await unpack("shared", folder);
  const { name, dependencies, exports } = await readManifest("client");
  for (const dependency of Object.keys(dependencies)) {
    if (!dependency.startsWith("@oncekey/")) await link(dependency, folder);
  }
  return {
    folder,
    files,
    entries: Object.keys(exports).map((path) => join(name, path)),
    async withPeers(...peers) {
      const other = await createFolder();
      await cp(folder, other, { recursive: true, verbatimSymlinks: true });
      for (const peer of peers) await link(peer, other);
      return other;
    },
  };
}

function createFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "packed-"));
}

/** With what it needs itself: a link leads to where that is. */
async function link(name: string, folder: string): Promise<void> {
  const target = join(folder, "node_modules", name);
  await mkdir(dirname(target), { recursive: true });
  await symlink(await realpath(join(ROOT, "client/node_modules", name)), target);
}

interface Manifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly dependencies: Readonly<Record<string, string>>;
}

async function readManifest(name: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(ROOT, name, "package.json"), "utf8")) as Manifest;
}

async function unpack(name: string, folder: string): Promise<string[]> {
  const packed = await run("npm", ["pack", "--json", "--pack-destination", folder], {
    cwd: join(ROOT, name),
  });
  const [tarball] = JSON.parse(packed.stdout) as {
    readonly filename: string;
    readonly files: readonly { readonly path: string }[];
  }[];
  if (tarball === undefined) throw new Error(`npm packed nothing of ${name}`);
  const target = join(folder, "node_modules/@oncekey", name);
  await mkdir(target, { recursive: true });
  await run("tar", ["-xzf", join(folder, tarball.filename), "-C", target, "--strip-components=1"]);
  return tarball.files.map(({ path }) => path);
}
