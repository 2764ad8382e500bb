/** The server under test: a process of its own, which can be killed. */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { readdir, readFile, readlink } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { extname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { CRASH_AT } from "./crash-points.ts";
import type { CrashPoint } from "./crash-points.ts";

/** Command that starts the server under test. */
export interface ServerCommand {
  /** Program and arguments: the server's own process, such as `["node", "server.js"]`, and none that starts it, such as `npm`. */
  readonly command: readonly [program: string, ...args: string[]];
  /** Environment variables beside those of this process. `PORT` is set to the port of 127.0.0.1 on which it has to listen. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface ServerProcess {
  readonly origin: string;
  /** Returns how the process ended by itself, `undefined` while it lives. */
  readonly ending: () => string | undefined;
  /** Resolves once it has ended. */
  readonly ended: Promise<void>;
  stop(): Promise<void>;
}

const START_MS = 30_000;
const POLL_MS = 25;

// Below the ports that the system hands out for `listen(0)` (from 32768 on): none of those takes it before its use.
const LOWEST = 15_000;
const HIGHEST = 32_000;
const TRIES = 100;

// Ports that are tried if another process takes each of them before the server does.
const PORTS = 5;

/** @throws Error if it ends, or does not listen within 30 s. */
export async function startServer(
  server: ServerCommand,
  crashPoint: CrashPoint | undefined,
): Promise<ServerProcess> {
  for (let ports = 1; ; ports += 1) {
    const port = await freePort();
    const { pid, ...launched } = launch(server, crashPoint, port);
    const until = performance.now() + START_MS;
    while (launched.ending() === undefined && performance.now() < until) {
      if ((await accepts(port)) && (await isOwnPort(pid, port))) return launched;
      await sleep(POLL_MS);
    }
    const how = launched.ending();
    await launched.stop();
    const isTaken = how !== undefined && (await accepts(port));
    if (isTaken && ports < PORTS) continue;
    throw new Error(
      `the server under test did not come up on port ${port}: ${how ?? "it does not listen"}`,
    );
  }
}

function launch(
  { command: [program, ...args], env = {} }: ServerCommand,
  crashPoint: CrashPoint | undefined,
  port: number,
): ServerProcess & { readonly pid: number | undefined } {
  const preload = new URL(`crash-preload${extname(import.meta.url)}`, import.meta.url);
  const { NODE_OPTIONS: given = "" } = { ...process.env, ...env };
  const child = spawn(program, args, {
    env: {
      ...process.env,
      ...env,
      PORT: String(port),
      ...(crashPoint === undefined
        ? {}
        : { [CRASH_AT]: crashPoint, NODE_OPTIONS: `${given} --import=${preload.href}`.trim() }),
    },
    stdio: ["ignore", "ignore", "inherit"],
  });
  let failure: string | undefined;
  const ended = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", (error) => {
      failure = error.message;
      resolve();
    });
  });
  const ending = (): string | undefined =>
    failure ?? child.signalCode ?? child.exitCode?.toString();
  const stop = async (): Promise<void> => {
    if (ending() !== undefined) return;
    child.kill("SIGKILL");
    await ended;
  };
  return { pid: child.pid, origin: `http://127.0.0.1:${port}`, ending, ended, stop };
}

/**
 * Whether the process itself listens on the port, and not another one that was faster. Returns `true` if the system has no answer:
 * only Linux has these files.
 */
async function isOwnPort(pid: number | undefined, port: number): Promise<boolean> {
  try {
    const tables = await Promise.all(
      ["tcp", "tcp6"].map((name) => readFile(`/proc/net/${name}`, "utf8").catch(() => "")),
    );
    const inodes = tables.flatMap((table) => listenersOn(port, table));
    if (inodes.length === 0) return true;
    const folder = `/proc/${pid}/fd`;
    const links = await Promise.all(
      (await readdir(folder)).map((name) => readlink(`${folder}/${name}`).catch(() => "")),
    );
    return inodes.some((inode) => links.includes(`socket:[${inode}]`));
  } catch (error) {
    // Gone, or not to be looked at.
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

const LISTEN_STATE = "0A";

/** Returns the inodes of the sockets that listen on a port, from a table of `/proc/net`. */
function listenersOn(port: number, table: string): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return table.split("\n").flatMap((line) => {
    const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
    return state === LISTEN_STATE && local.endsWith(suffix) && inode !== undefined ? [inode] : [];
  });
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function freePort(): Promise<number> {
  for (let left = TRIES; left > 0; left -= 1) {
    const port = randomInt(LOWEST, HIGHEST);
    const probe = createServer().listen(port, "127.0.0.1");
    try {
      await once(probe, "listening");
    } catch {
      continue;
    }
    probe.close();
    await once(probe, "close");
    return port;
  }
  throw new Error(`no free port of 127.0.0.1 from ${LOWEST} to ${HIGHEST}`);
}
