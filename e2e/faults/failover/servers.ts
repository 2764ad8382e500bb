/** Server processes, by the addresses under which they answer. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { ServerReport } from "./server.ts";

export interface Servers {
  readonly origins: readonly string[];
  /** How many of them have ended by themselves. None should: an error of the database is no reason to. */
  readonly ended: () => number;
  stop(): Promise<void>;
}

/** @throws Error if one of them does not come up. */
export async function startServers(count: number, databaseUrl: string): Promise<Servers> {
  const children = Array.from({ length: count }, () => launch(databaseUrl));
  const ended = (): number => children.filter(hasEnded).length;
  const stop = async (): Promise<void> => {
    await Promise.all(children.map(end));
  };
  try {
    const ports = await Promise.all(children.map(portOf));
    return { origins: ports.map((port) => `http://127.0.0.1:${port}`), ended, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function launch(databaseUrl: string): ChildProcess {
  return fork(fileURLToPath(new URL("server.ts", import.meta.url)), [], {
    env: { ...process.env, DATABASE_URL: databaseUrl },
    execArgv: ["--conditions=@oncekey/source"],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    // A Ctrl-C reaches the whole terminal; the parent decides when its servers end.
    detached: true,
  });
}

async function portOf(child: ChildProcess): Promise<number> {
  const early = once(child, "exit").then(([code]) => {
    throw new Error(`a server ended before it was up, with ${code}`);
  });
  const [report] = (await Promise.race([once(child, "message"), early])) as [ServerReport];
  return report.port;
}

async function end(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

function hasEnded({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}
