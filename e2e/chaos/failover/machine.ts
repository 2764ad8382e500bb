/** Whether this machine has what a failover takes, and where. */
import { execFile } from "node:child_process";
import { access, constants, readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { idsOf } from "@oncekey/test-support/postgres/binaries";

const PACKAGES = "postgresql patroni etcd-server haproxy";
const PROGRAMS = ["etcd", "patroni", "haproxy"] as const;
type Program = (typeof PROGRAMS)[number];

/** The programs by their paths. */
export type Machine = Readonly<Record<Program, string>> & {
  /** The folder of PostgreSQL's programs. */
  readonly postgresBin: string;
  /** Whom to run them as, because Postgres refuses root; empty for the present user. */
  readonly user: { readonly uid?: number; readonly gid?: number };
};

export type Fitness =
  | { readonly kind: "fit"; readonly machine: Machine }
  | { readonly kind: "unfit"; readonly reason: string };

export async function findMachine(): Promise<Fitness> {
  // Processes are found through /proc.
  if (process.platform !== "linux") return { kind: "unfit", reason: "it needs Linux" };
  const [etcd, patroni, haproxy] = await Promise.all(PROGRAMS.map(findProgram));
  const postgresBin = await findPostgres();
  const missing = Object.entries({ etcd, patroni, haproxy, postgresql: postgresBin })
    .filter(([, path]) => path === undefined)
    .map(([name]) => name);
  if (!etcd || !patroni || !haproxy || !postgresBin) {
    const remedy = `on Debian, as root: apt-get install --no-install-recommends ${PACKAGES}`;
    return { kind: "unfit", reason: `${missing.join(", ")} not found; ${remedy}` };
  }
  const user = process.getuid?.() === 0 ? await idsOf("nobody") : {};
  return { kind: "fit", machine: { etcd, patroni, haproxy, postgresBin, user } };
}

/** Returns the versions of the programs, in one line. */
export async function describeMachine(machine: Machine): Promise<string> {
  const said = await Promise.all([
    firstLine(join(machine.postgresBin, "postgres"), "--version"),
    firstLine(machine.patroni, "--version"),
    firstLine(machine.etcd, "--version"),
    firstLine(machine.haproxy, "-v"),
  ]);
  const names = ["PostgreSQL", "Patroni", "etcd", "HAProxy"];
  return said.map((line, at) => `${names[at]} ${/\d+(\.\d+)+/.exec(line)?.[0]}`).join(", ");
}

async function firstLine(program: string, flag: string): Promise<string> {
  const { stdout } = await promisify(execFile)(program, [flag]);
  return stdout.split("\n")[0] ?? "";
}

// Debian keeps servers where a user's PATH does not look.
async function findProgram(name: Program): Promise<string | undefined> {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/bin", "/usr/sbin"];
  return firstExecutable(folders.map((folder) => join(folder, name)));
}

// The newest of those that are installed.
async function findPostgres(): Promise<string | undefined> {
  const root = "/usr/lib/postgresql";
  const versions = await readdir(root).catch(() => []);
  const newestFirst = versions.toSorted((a, b) => Number(b) - Number(a));
  const rewind = await firstExecutable(
    newestFirst.map((version) => join(root, version, "bin", "pg_rewind")),
  );
  return rewind && join(rewind, "..");
}

async function firstExecutable(paths: readonly string[]): Promise<string | undefined> {
  const found = await Promise.all(
    paths.map((path) =>
      access(path, constants.X_OK).then(
        () => path,
        () => undefined,
      ),
    ),
  );
  return found.find((path) => path !== undefined);
}
