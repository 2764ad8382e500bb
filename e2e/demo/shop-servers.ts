/** Keeps two shop servers running: each that ends is started again until all are stopped. */
import { superviseScript } from "@oncekey/test-support/processes/supervised";
import type { Supervised } from "@oncekey/test-support/processes/supervised";
import type { Upstream } from "../fault-proxy/proxy.ts";

export interface ShopServers {
  /** The next live server in turn; waits while none is up. */
  readonly next: () => Promise<Upstream>;
  /** Resolves when every server is up, after kills too. */
  readonly ready: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

const NAMES = ["A", "B"];

/** @throws Error if one of them does not come up. */
export async function startShopServers(databaseUrl: string): Promise<ShopServers> {
  const servers = NAMES.map((name) =>
    superviseScript({
      name,
      script: new URL("shop-server.ts", import.meta.url),
      env: { DATABASE_URL: databaseUrl },
      isRestarted: true,
    }),
  );
  const ready = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.up()));
  };
  const stop = async (): Promise<void> => {
    await Promise.all(servers.map((server) => server.stop()));
  };
  let turn = 0;
  try {
    await ready();
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    async next() {
      turn += 1;
      for (;;) {
        const live = servers.filter((server) => server.port() !== undefined);
        const server = live[turn % live.length];
        if (server !== undefined) return toUpstream(server);
        await Promise.any(servers.map((one) => one.up()));
      }
    },
    ready,
    stop,
  };
}

function toUpstream({ name, port, kill }: Supervised): Upstream {
  return { name, port: port() ?? 0, kill };
}
