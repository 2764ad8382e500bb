/** A real PostgreSQL for tests and the demo, 18 or what ONCEKEY_POSTGRES asks for: nothing to install, gone when its owner is gone. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { reportedPort, supervise } from "../processes/supervised.ts";
import type { KeeperSettings } from "./keeper.ts";

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
 * A keeper process of its own session is the server's parent. It stops the server and removes the
 * folder when the channel to this process closes. So even a SIGKILL here leaves nothing running.
 *
 * @throws Error with the server's output if it does not start.
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
  const keeper = supervise({
    name: "the keeper of Postgres",
    launch() {
      const child = fork(fileURLToPath(new URL("keeper.ts", import.meta.url)), [], {
        detached: true,
        execArgv: [],
        stdio: ["ignore", "ignore", "inherit", "ipc"],
      });
      // Sent over the channel: an argument would show the password to all users of the machine.
      child.send(settings);
      return child;
    },
    listening: reportedPort,
    end(child) {
      if (child.connected) child.disconnect();
    },
  });
  const port = await keeper.up().catch((error: Error) => {
    throw new Error(`Postgres did not start: ${error.message}`, { cause: error });
  });
  // Neither the keeper nor the channel to it is a reason for this process to stay.
  keeper.child().unref();
  keeper.child().channel?.unref();
  return {
    port,
    url: (database) => `postgres://postgres:${settings.password}@127.0.0.1:${port}/${database}`,
    stop: keeper.stop,
  };
}
