/** A server in a process of its own: started, killed, started again, and ended with the process that started it. */
import { fork } from "node:child_process";
import type { ChildProcess, ForkOptions } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort } from "./free-port.ts";
import type { ServerReport } from "./report-port.ts";

export interface Supervision {
  /** For messages. */
  readonly name: string;
  readonly launch: () => ChildProcess;
  /** Resolves to the port once the process listens. Need not settle if the process ends before. */
  readonly listening: (child: ChildProcess) => Promise<number>;
  /** Asks the process to end. Default: SIGKILL. */
  readonly end?: (child: ChildProcess) => void;
  /** Whether the process is started again if it ends after it has listened once. Default `false`. */
  readonly isRestarted?: boolean;
  /** The pause before that, in ms. Default 0. */
  readonly pauseMs?: number;
}

export interface Supervised {
  readonly name: string;
  /** Where it listens. `undefined` while it is down. */
  readonly port: () => number | undefined;
  /** The present process, which may be on its way up or down. */
  readonly child: () => ChildProcess;
  /** Resolves to the port when it listens, after a kill too. Rejects if it ended and is not started again. */
  readonly up: () => Promise<number>;
  readonly kill: () => void;
  /** Returns how often it ended although neither `kill` nor `stop` was called. */
  readonly unexpectedEnds: () => number;
  /** Resolves when it has ended and is not started again. */
  readonly ended: Promise<void>;
  /** Safe to call twice. */
  readonly stop: () => Promise<void>;
}

export function supervise(supervision: Supervision): Supervised {
  const { name, launch, listening, isRestarted = false, pauseMs = 0 } = supervision;
  const { end = (child: ChildProcess) => void child.kill("SIGKILL") } = supervision;
  const ended = Promise.withResolvers<void>();
  const killed = new WeakSet<ChildProcess>();
  let isStopping = false;
  let wasUp = false;
  let unexpected = 0;
  let port: number | undefined;
  let up = awaited();
  let child: ChildProcess;

  const start = (): void => {
    child = launch();
    const own = child;
    own.once("error", (error) => attendEnd(own, error.message));
    own.once("exit", (code, signal) => attendEnd(own, String(signal ?? code)));
    void attendStart(own);
  };
  const attendStart = async (own: ChildProcess): Promise<void> => {
    try {
      const found = await listening(own);
      if (hasEnded(own) || killed.has(own)) return;
      wasUp = true;
      port = found;
      up.resolve(found);
    } catch (error) {
      up.reject(error);
    }
  };
  const attendEnd = (own: ChildProcess, how: string): void => {
    goDown();
    if (!isStopping && !killed.has(own)) unexpected += 1;
    if (isRestarted && wasUp && !isStopping) {
      void startAgain();
      return;
    }
    up.reject(new Error(`${name} has ended: ${how}`));
    ended.resolve();
  };
  const startAgain = async (): Promise<void> => {
    if (pauseMs > 0) await sleep(pauseMs);
    if (isStopping) ended.resolve();
    else start();
  };
  const goDown = (): void => {
    if (port !== undefined) up = awaited();
    port = undefined;
  };
  start();
  return {
    name,
    port: () => port,
    child: () => child,
    up: () => up.promise,
    kill() {
      killed.add(child);
      goDown();
      child.kill("SIGKILL");
    },
    unexpectedEnds: () => unexpected,
    ended: ended.promise,
    async stop() {
      isStopping = true;
      if (hasEnded(child)) return;
      const gone = once(child, "exit");
      child.ref();
      end(child);
      await gone;
    },
  };
}

const PORT_ATTEMPTS = 5;

/**
 * Supervises a program that gets its port as an argument. Another process can take a free port
 * before the program does, so a program that ends at once gets another port.
 *
 * @throws Error of the last attempt.
 */
export async function superviseOnFreePort(
  supervisionAt: (port: number) => Supervision,
): Promise<Supervised> {
  for (let attempt = 1; ; attempt += 1) {
    const server = supervise(supervisionAt(await freePort()));
    try {
      await server.up();
      return server;
    } catch (error) {
      await server.stop();
      if (attempt === PORT_ATTEMPTS) throw error;
    }
  }
}

export interface ServerScript {
  readonly name: string;
  /** A module that calls `reportPort`. */
  readonly script: URL;
  readonly args?: readonly string[];
  /** Variables beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** More outputs than the usual three, and the channel. */
  readonly stdio?: ForkOptions["stdio"];
  /** Whether a Ctrl-C at the terminal, which reaches all of its processes, leaves this one alone. Default `false`. */
  readonly detached?: boolean;
  readonly isRestarted?: boolean;
  /** Called with each process that is started. */
  readonly onStart?: (child: ChildProcess) => void;
}

/** Supervises a server script of this project, which runs from the sources. */
export function superviseScript(server: ServerScript): Supervised {
  const { name, script, args = [], env = {}, detached = false, isRestarted = false } = server;
  const { stdio = ["ignore", "ignore", "inherit", "ipc"], onStart } = server;
  return supervise({
    name,
    isRestarted,
    launch() {
      const child = fork(fileURLToPath(script), args, {
        env: { ...process.env, ...env },
        execArgv: ["--conditions=@oncekey/source"],
        stdio,
        detached,
      });
      onStart?.(child);
      return child;
    },
    listening: reportedPort,
  });
}

/** Resolves to the port that a process reports by `reportPort`, or rejects with the reason that it reports instead. */
export function reportedPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const listen = (message: ServerReport): void => {
      if (message.kind !== "up" && message.kind !== "failed") return;
      child.off("message", listen);
      if (message.kind === "up") resolve(message.port);
      else reject(new Error(message.reason));
    };
    child.on("message", listen);
  });
}

function awaited(): PromiseWithResolvers<number> {
  const up = Promise.withResolvers<number>();
  // It may end while no caller waits for it.
  up.promise.catch(() => undefined);
  return up;
}

function hasEnded({ pid, exitCode, signalCode }: ChildProcess): boolean {
  return pid === undefined || exitCode !== null || signalCode !== null;
}
