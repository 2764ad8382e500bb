/** The parent process of one Postgres server: starts it, and ends it when the channel to its owner closes. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chown, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../processes/free-port.ts";
import { makeFolder, prepareBinaries } from "./binaries.ts";
import type { Binaries } from "./binaries.ts";

/** What the owner asks for, as its first and only message. */
export interface KeeperSettings {
  readonly fsync: boolean;
  readonly maxConnections: number;
  readonly password: string;
  readonly settings: Readonly<Record<string, string>>;
  readonly walFolder: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly isRestarted: boolean;
}

/** What the keeper says once. */
export type KeeperReport =
  | { readonly kind: "ready"; readonly port: number }
  | { readonly kind: "failed"; readonly reason: string };

const READY = "ready to accept connections";
const STOP_MS = 10_000;
const PORT_ATTEMPTS = 5;
const RESTART_MS = 200;

const folder = await makeFolder();
const prepared = prepareBinaries(folder);
/** `initdb` and then `postgres`. */
let child: ChildProcess | undefined;
let ending: Promise<void> | undefined;

for (const signal of ["disconnect", "SIGTERM", "SIGINT"]) process.once(signal, () => void end());
// The owner may have gone while this process was loading.
if (!process.connected) await end();
try {
  const [settings] = (await once(process, "message")) as [KeeperSettings];
  const binaries = await prepared;
  const data = await initialise(binaries, settings);
  const port = await serve(binaries, data, settings);
  report({ kind: "ready", port });
} catch (error) {
  report({ kind: "failed", reason: error instanceof Error ? error.message : String(error) });
  await end();
}

/** Ends the server and the folder, then this process. */
function end(): Promise<void> {
  return (ending ??= cleanUp());
}

async function cleanUp(): Promise<void> {
  await prepared.catch(() => undefined);
  if (child !== undefined) await stop(child);
  await rm(folder, { recursive: true, force: true });
  process.exit();
}

async function stop(running: ChildProcess): Promise<void> {
  if (running.exitCode !== null || running.signalCode !== null) return;
  const gone = once(running, "exit");
  // SIGINT is Postgres' fast shutdown: it ends sessions instead of waiting for them.
  running.kill("SIGINT");
  const late = setTimeout(() => running.kill("SIGKILL"), STOP_MS);
  await gone;
  clearTimeout(late);
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
  const initdb = run(files, files.initdb, initdbArguments(files, data, secret, asked));
  const said = words(initdb);
  const [code] = await once(initdb, "exit");
  await rm(secret);
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${said()}`);
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
    // Provided by Postgres itself, so it sorts the same on every system. From version 17 on.
    ...(version === 14 ? {} : { "locale-provider": "builtin", "builtin-locale": "C.UTF-8" }),
    ...(walFolder === undefined ? {} : { waldir: walFolder, "wal-segsize": "1" }),
  };
  return ["--no-sync", ...Object.entries(options).map(([name, value]) => `--${name}=${value}`)];
}

// A free port can be taken between the look and the start, so a server that ends at once gets another one.
async function serve(files: Binaries, data: string, asked: KeeperSettings): Promise<number> {
  let said = "";
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt += 1) {
    const port = await freePort();
    const start = () => run(files, files.postgres, ["-D", data, ...flags(port, asked)], asked);
    const server = start();
    const result = await listening(server);
    if (result.kind === "listening") {
      server.once("exit", () => void (asked.isRestarted ? again(start) : end()));
      return port;
    }
    said = result.said;
  }
  throw new Error(said);
}

/** Starts it for as long as this process is there, as whoever looks after a server does. */
async function again(start: () => ChildProcess): Promise<void> {
  await sleep(RESTART_MS);
  if (ending !== undefined) return;
  const server = start();
  words(server);
  server.once("exit", () => void again(start));
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

type Listening = { readonly kind: "listening" } | { readonly kind: "ended"; readonly said: string };

async function listening(server: ChildProcess): Promise<Listening> {
  const said = words(server);
  const ended = once(server, "exit").then((): Listening => ({ kind: "ended", said: said() }));
  const ready = new Promise<Listening>((resolve) => {
    server.stderr?.on("data", () => {
      if (said().includes(READY)) resolve({ kind: "listening" });
    });
  });
  return Promise.race([ready, ended]);
}

function run(
  files: Binaries,
  command: string,
  args: string[],
  { environment }: Partial<KeeperSettings> = {},
): ChildProcess {
  if (ending !== undefined) throw new Error("it was told to end");
  child = spawn(command, args, {
    ...files.user,
    cwd: folder,
    env: { PATH: process.env["PATH"], LC_ALL: "C", TZ: "UTC", ...environment },
    stdio: ["ignore", "ignore", "pipe"],
  });
  return child;
}

/** The last of what a process said: enough for a reason, bounded for a server that talks for hours. */
function words(talker: ChildProcess): () => string {
  let said = "";
  talker.stderr?.setEncoding("utf8").on("data", (chunk: string) => {
    said = (said + chunk).slice(-4_000);
  });
  return () => said.trim();
}

function report(message: KeeperReport): void {
  // An owner that has gone shows as an error here, and as a disconnect to the handler above.
  process.send?.(message, undefined, undefined, () => undefined);
}
