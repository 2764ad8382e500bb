/** A real PgBouncer in front of a database. */
import { spawn, spawnSync } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export type PoolMode = "session" | "transaction" | "statement";

// Debian keeps it where a user's PATH does not look.
const PROGRAM = ["pgbouncer", "/usr/sbin/pgbouncer"].find(
  (program) => spawnSync(program, ["--version"]).status === 0,
);

/** Whether there is one on this machine. A run that asks for a pooler counts on it, so that there a missing one fails. */
export const hasPgBouncer: boolean =
  PROGRAM !== undefined || process.env["ONCEKEY_POOLER"] !== undefined;

/** Runs one for as long as `use` runs, and passes the address under which the database is found through it. */
export async function withPgBouncer(
  { url, mode, roundRobin = false }: { url: string; mode: PoolMode; roundRobin?: boolean },
  use: (url: string) => Promise<void>,
): Promise<void> {
  const folder = await mkdtemp(join(process.getuid?.() === 0 ? "/tmp" : tmpdir(), "pgbouncer-"));
  const port = await freePort();
  const config = join(folder, "pgbouncer.ini");
  await writeFile(config, settings({ url: new URL(url), mode, port, roundRobin }));
  await chmod(folder, 0o755);
  const bouncer = spawn(PROGRAM ?? "pgbouncer", ["-q", config], { stdio: "ignore", ...user() });
  try {
    await listening(bouncer, port);
    await use(`postgres://anybody@127.0.0.1:${port}${new URL(url).pathname}`);
  } finally {
    const gone = once(bouncer, "exit");
    if (bouncer.kill("SIGTERM")) await gone;
    await rm(folder, { recursive: true, force: true });
  }
}

function settings({
  url,
  mode,
  port,
  roundRobin,
}: {
  url: URL;
  mode: PoolMode;
  port: number;
  roundRobin: boolean;
}): string {
  return `
[databases]
* = host=${url.hostname} port=${url.port} user=${url.username} password=${url.password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
server_round_robin = ${roundRobin ? 1 : 0}
`;
}

// It refuses to run as root; 65534 is nobody, and needs to read nothing but its settings.
function user(): { uid?: number; gid?: number } {
  return process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (typeof address !== "object" || address === null) throw new Error("no port is free");
  return address.port;
}

async function listening(bouncer: ChildProcess, port: number): Promise<void> {
  let failure: unknown;
  bouncer.once("error", (error) => (failure = error));
  for (let tries = 0; tries < 200; tries += 1) {
    if (failure !== undefined || bouncer.exitCode !== null) break;
    if (await answers(port)) return;
    await sleep(25);
  }
  throw new Error(`PgBouncer did not start (exit code ${bouncer.exitCode})`, { cause: failure });
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
