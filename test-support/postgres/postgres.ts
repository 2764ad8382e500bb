/** A real PostgreSQL for tests and the demo, 18 or what ONCEKEY_POSTGRES asks for: nothing to install, gone when its owner is gone. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { KeeperReport, KeeperSettings } from "./keeper.ts";

export interface PostgresOptions {
  /** Whether commits reach the disk. Default `true`; `false` is faster and fine where no machine is switched off. */
  readonly fsync?: boolean;
  /** Default 200: a few servers with a pool each, and the tests' own. */
  readonly maxConnections?: number;
  /** Settings beside those, which they replace. */
  readonly settings?: Readonly<Record<string, string>>;
  /** An empty folder of the user who runs it, for its log; which then grows by 1 MB and not by 16. Default: among the data. */
  readonly walFolder?: string;
  /** Environment variables of the server. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Whether it is started again, on the same port, when it ends by itself. Default `false`. */
  readonly isRestarted?: boolean;
}

export interface Postgres {
  readonly port: number;
  /** A connection string for one database, loopback only. */
  readonly url: (database: string) => string;
  /** Ends every session, the server and its folder. Safe to call twice. */
  readonly stop: () => Promise<void>;
}

/**
 * Starts a server on a free port with an empty data folder.
 *
 * A keeper process of its own session is the server's parent. It stops the server and removes the folder as soon as the
 * channel to this process closes, so even a SIGKILL here leaves nothing running.
 *
 * @throws Error with the server's own words if it does not start.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const settings: KeeperSettings = {
    fsync: options.fsync ?? true,
    maxConnections: options.maxConnections ?? 200,
    password: crypto.randomUUID(),
    settings: options.settings ?? {},
    walFolder: options.walFolder,
    environment: options.environment ?? {},
    isRestarted: options.isRestarted ?? false,
  };
  const keeper = fork(fileURLToPath(new URL("keeper.ts", import.meta.url)), [], {
    detached: true,
    execArgv: [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  // Over the channel: an argument would show the password to everybody on the machine.
  keeper.send(settings);
  const port = await started(keeper);
  // Neither the keeper nor the channel to it is a reason for this process to stay.
  keeper.unref();
  keeper.channel?.unref();
  return {
    port,
    url: (database) => `postgres://postgres:${settings.password}@127.0.0.1:${port}/${database}`,
    stop: () => stopped(keeper),
  };
}

async function started(keeper: ChildProcess): Promise<number> {
  const report = await Promise.race([
    once(keeper, "message").then(([message]) => message as KeeperReport),
    once(keeper, "exit").then(([code]): KeeperReport => ({
      kind: "failed",
      reason: `its keeper ended with ${code}`,
    })),
  ]);
  switch (report.kind) {
    case "ready":
      return report.port;
    case "failed":
      throw new Error(`Postgres did not start: ${report.reason}`);
    default:
      return report satisfies never;
  }
}

async function stopped(keeper: ChildProcess): Promise<void> {
  if (keeper.exitCode !== null || keeper.signalCode !== null) return;
  keeper.ref();
  const gone = once(keeper, "exit");
  if (keeper.connected) keeper.disconnect();
  await gone;
}
