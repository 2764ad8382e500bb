/** A real PgBouncer before a Postgres. In transaction mode every transaction may run on another connection of it. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { until } from "../processes/deadline.ts";
import { superviseOnFreePort } from "../processes/supervised.ts";
import { idsOf } from "./binaries.ts";
import type { Reaper } from "../processes/reaper.ts";

export interface Pooler {
  /** The connection string that it was given, through it. */
  readonly url: string;
  /** Asks it to end in the way of that signal. */
  signal(signal: NodeJS.Signals): void;
  /** Resolves when it has ended. */
  readonly gone: Promise<unknown>;
  stop(): Promise<void>;
}

export interface PoolerOptions {
  /** Default `transaction`. */
  readonly mode?: "session" | "transaction" | "statement";
  /** Whether connections take turns. Default `false`: the one used last comes first. */
  readonly roundRobin?: boolean;
  /** Ends the process if its owner cannot. */
  readonly reaper?: Reaper;
}

// Debian keeps it where a user's PATH does not look.
const PROGRAM = ["pgbouncer", "/usr/sbin/pgbouncer"].find(
  (program) => spawnSync(program, ["--version"]).status === 0,
);

/** Whether there is one on this machine. A run that asks for a pooler counts on it, so that there a missing one fails. */
export const hasPgBouncer: boolean =
  PROGRAM !== undefined || process.env["ONCEKEY_POOLER"] !== undefined;

/** Runs one for as long as `use` runs, with the address under which the database is found through it. */
export async function withPgBouncer(
  databaseUrl: string,
  options: PoolerOptions,
  use: (url: string) => Promise<void>,
): Promise<void> {
  const pooler = await startPgBouncer(databaseUrl, options);
  try {
    await use(pooler.url);
  } finally {
    await pooler.stop();
  }
}

/**
 * Starts Debian's `pgbouncer`, which must be installed.
 *
 * @param postgresUrl The server for its connections, with the user and password of all of them.
 * @throws Error with the command that installs it, if it is missing.
 */
export async function startPgBouncer(
  postgresUrl: string,
  options: PoolerOptions = {},
): Promise<Pooler> {
  const folder = await mkdtemp(
    join(
      options.reaper?.folder ?? (process.getuid?.() === 0 ? "/tmp" : tmpdir()),
      "oncekey-pgbouncer-",
    ),
  );
  const file = join(folder, "pgbouncer.ini");
  // PgBouncer refuses to run as root.
  const user = process.getuid?.() === 0 ? await idsOf("nobody") : undefined;
  if (user !== undefined) {
    await chmod(folder, 0o700);
    await chown(folder, user.uid, user.gid);
  }
  const starting = superviseOnFreePort((port) => ({
    name: "PgBouncer",
    launch() {
      writeFileSync(file, configuration(new URL(postgresUrl), port, options));
      return spawn(PROGRAM ?? "pgbouncer", ["--quiet", file], {
        stdio: "ignore",
        env: { ...process.env, ...options.reaper?.mark },
        // Then a Ctrl-C, which reaches the whole terminal, need not end it.
        detached: options.reaper !== undefined,
        ...user,
      });
    },
    async listening() {
      await accepts(port);
      return port;
    },
  }));
  const server = await starting.catch(async (error: unknown) => {
    await rm(folder, { recursive: true });
    const hint = "the pooler tests need PgBouncer: apt-get install pgbouncer";
    throw new Error(hint, { cause: error });
  });
  const url = new URL(postgresUrl);
  url.port = String(server.port());
  return {
    url: url.href,
    signal: (signal) => void server.child().kill(signal),
    gone: server.ended,
    async stop() {
      await server.stop();
      await rm(folder, { recursive: true });
    },
  };
}

// `server_reset_query` is empty as it is by default in this mode: what a client leaves in a
// session, the next one finds there. `server_login_retry` is 15 s by default: for so long PgBouncer
// refuses all clients after Postgres has refused it once.
function configuration(
  { hostname, port, username, password }: URL,
  listenPort: number,
  { mode = "transaction", roundRobin = false }: PoolerOptions,
): string {
  return `
[databases]
* = host=${hostname} port=${port} user=${username} password=${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = any
pool_mode = ${mode}
server_round_robin = ${roundRobin ? 1 : 0}
max_client_conn = 1000
default_pool_size = 15
server_idle_timeout = 2
server_login_retry = 1
`;
}

/** Resolves when the pooler listens. */
async function accepts(port: number): Promise<undefined> {
  const isListening = async (): Promise<boolean> => {
    const socket = net.connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return true;
    } catch {
      return false;
    } finally {
      socket.destroy();
    }
  };
  await until(isListening, { what: "pgbouncer to listen" });
}
