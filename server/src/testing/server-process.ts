/** The server under test: a process of its own, which can be killed. */
import { spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
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

/** @throws Error if it ends, or does not listen within 30 s. */
export async function startServer(
  { command: [program, ...args], env = {} }: ServerCommand,
  crashPoint: CrashPoint | undefined,
): Promise<ServerProcess> {
  const port = await freePort();
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
  const until = performance.now() + START_MS;
  while (!(await accepts(port))) {
    if (ending() !== undefined || performance.now() > until) {
      const how = ending() ?? "it does not listen";
      await stop();
      throw new Error(`the server under test did not come up on port ${port}: ${how}`);
    }
    await sleep(POLL_MS);
  }
  return { origin: `http://127.0.0.1:${port}`, ending, ended, stop };
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
