/** The parent process of one Postgres server: starts it, and ends it when the channel to its owner closes. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chown, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { within } from "../processes/deadline.ts";
import { sendReport } from "../processes/report-port.ts";
import { superviseOnFreePort } from "../processes/supervised.ts";
import type { Supervised } from "../processes/supervised.ts";
import { makeFolder, prepareBinaries } from "./binaries.ts";
import type { Binaries } from "./binaries.ts";

/** Settings from the owner: its first and only message. */
export interface KeeperSettings {
  readonly fsync: boolean;
  readonly maxConnections: number;
  readonly password: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly walFolder: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly isRestarted: boolean;
}

const READY = "ready to accept connections";
const STOP_MS = 10_000;
const RESTART_MS = 200;

const folder = await makeFolder();
const prepared = prepareBinaries(folder);
let initdb: ChildProcess | undefined;
let server: Promise<Supervised | undefined> | undefined;
let ending: Promise<void> | undefined;

for (const signal of ["disconnect", "SIGTERM", "SIGINT"]) process.once(signal, () => void end());
// The owner may have gone while this process was loading.
if (!process.connected) await end();
try {
  const [settings] = (await once(process, "message")) as [KeeperSettings];
  const binaries = await prepared;
  const data = await initialise(binaries, settings);
  sendReport({ kind: "up", port: await serve(binaries, data, settings) });
} catch (error) {
  sendReport({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
  await end();
}

/** Ends the server and the folder, then this process. */
function end(): Promise<void> {
  return (ending ??= cleanUp());
}

async function cleanUp(): Promise<void> {
  await prepared.catch(() => undefined);
  if (initdb !== undefined && initdb.exitCode === null && initdb.signalCode === null) {
    const gone = once(initdb, "exit");
    initdb.kill("SIGINT");
    await gone;
  }
  const running = await server;
  if (running !== undefined) await stop(running);
  await rm(folder, { recursive: true, force: true });
  process.exit();
}

async function stop(running: Supervised): Promise<void> {
  const stopped = running.stop();
  try {
    await within(stopped, { what: "Postgres to shut down", patienceMs: STOP_MS });
  } catch {
    running.kill();
    await stopped;
  }
}

async function initialise(files: Binaries, asked: KeeperSettings): Promise<string> {
  const data = join(folder, "data");
  const secret = join(folder, "password");
  await mkdir(data, { mode: 0o700 });
  await writeFile(secret, asked.password, { mode: 0o600 });
  const { uid, gid } = files.user;
  if (uid !== undefined && gid !== undefined) {
    await Promise.all([data, secret].map((path) => chown(path, uid, gid)));
  }
  if (ending !== undefined) throw new Error("it was stopped while it was started");
  initdb = run(files, files.initdb, initdbArguments(files, data, secret, asked));
  const output = words(initdb);
  const [code] = await once(initdb, "exit");
  await rm(secret);
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${output()}`);
  return data;
}

function initdbArguments(
  { version }: Binaries,
  data: string,
  secret: string,
  { walFolder }: KeeperSettings,
): string[] {
  const options = {
    pgdata: data,
    username: "postgres",
    pwfile: secret,
    auth: "scram-sha-256",
    encoding: "UTF8",
    locale: "C",
    // The built-in provider sorts the same on every system. Available from version 17 on.
    ...(version === 14 ? {} : { "locale-provider": "builtin", "builtin-locale": "C.UTF-8" }),
    ...(walFolder === undefined ? {} : { waldir: walFolder, "wal-segsize": "1" }),
  };
  return ["--no-sync", ...Object.entries(options).map(([name, value]) => `--${name}=${value}`)];
}

/** @returns the port. */
async function serve(files: Binaries, data: string, asked: KeeperSettings): Promise<number> {
  if (ending !== undefined) throw new Error("it was stopped while it was started");
  let said = (): string => "";
  const supervised = superviseOnFreePort((port) => ({
    name: "Postgres",
    launch() {
      const child = run(files, files.postgres, ["-D", data, ...flags(port, asked)], asked);
      said = words(child);
      return child;
    },
    async listening(child) {
      await isReady(child);
      return port;
    },
    // SIGINT is Postgres' fast shutdown: it ends sessions instead of waiting for them.
    end: (child) => void child.kill("SIGINT"),
    isRestarted: asked.isRestarted,
    pauseMs: RESTART_MS,
  }));
  server = supervised.catch(() => undefined);
  try {
    const { ended, up } = await supervised;
    void ended.then(end);
    return await up();
  } catch (error) {
    throw new Error(said(), { cause: error });
  }
}

function flags(port: number, asked: KeeperSettings): string[] {
  const { fsync, maxConnections, settings } = asked;
  const values = {
    port: String(port),
    listen_addresses: "127.0.0.1",
    unix_socket_directories: "",
    max_connections: String(maxConnections),
    fsync: fsync ? "on" : "off",
    full_page_writes: fsync ? "on" : "off",
    ...settings,
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

function isReady({ stderr }: ChildProcess): Promise<void> {
  let said = "";
  return new Promise((resolve) => {
    const listen = (chunk: Buffer | string): void => {
      said += chunk.toString();
      if (!said.includes(READY)) return;
      stderr?.off("data", listen);
      resolve();
    };
    stderr?.on("data", listen);
  });
}

function run(
  files: Binaries,
  command: string,
  args: string[],
  { environment }: Partial<KeeperSettings> = {},
): ChildProcess {
  return spawn(command, args, {
    ...files.user,
    cwd: folder,
    env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC", ...environment },
    stdio: ["ignore", "ignore", "pipe"],
  });
}

/**
 * Returns the last output of a process: enough for a reason, bounded for a server that logs for
 * hours.
 */
function words(talker: ChildProcess): () => string {
  let said = "";
  talker.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    said = (said + chunk).slice(-4_000);
  });
  return () => said.trim();
}
