/** Processes of one server script, on one database. */
import { superviseScript } from "@oncekey/test-support/processes/supervised";
import type { ServerScript } from "@oncekey/test-support/processes/supervised";
import type { Upstream } from "../fault-proxy/proxy.ts";

export interface Servers {
  /** The addresses at which they came up. */
  readonly origins: readonly string[];
  /** The next live server in turn; waits while none is up. */
  readonly next: () => Promise<Upstream>;
  /** Resolves when every server is up, after kills too. */
  readonly ready: () => Promise<unknown>;
  /** Returns how often a server has ended by itself. An error of the database is no reason to. */
  readonly ended: () => number;
  readonly stop: () => Promise<unknown>;
}

/** @throws Error if one of them does not come up. */
export async function startServers(
  names: readonly string[],
  databaseUrl: string,
  options: Pick<ServerScript, "script" | "isRestarted" | "detached">,
): Promise<Servers> {
  const env = { DATABASE_URL: databaseUrl };
  const servers = names.map((name) => superviseScript({ name, env, ...options }));
  const ready = () => Promise.all(servers.map((server) => server.up()));
  const stop = () => Promise.all(servers.map((server) => server.stop()));
  let turn = 0;
  try {
    const origins = (await ready()).map((port) => `http://127.0.0.1:${port}`);
    return {
      origins,
      async next() {
        turn += 1;
        for (;;) {
          const live = servers.filter((server) => server.port() !== undefined);
          const server = live[turn % live.length];
          if (server !== undefined) {
            return { name: server.name, port: server.port() ?? 0, kill: server.kill };
          }
          await Promise.any(servers.map((one) => one.up()));
        }
      },
      ready,
      ended: () => servers.reduce((sum, one) => sum + one.unexpectedEnds(), 0),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
