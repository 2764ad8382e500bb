/** Keeps a number of shop servers running: each that dies is started again until all are stopped. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Upstream } from "../faults/proxy.ts";
import type { ShopServerReport } from "./shop-server.ts";

export interface ShopServers {
  /** The next live server in turn; waits while none is up. */
  readonly next: () => Promise<Upstream>;
  /** Resolves when every server is up, after kills too. */
  readonly ready: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

interface Slot {
  /** Undefined while its process is dead or coming up. */
  readonly server: () => Upstream | undefined;
  /** Resolves when it is up for the first time. */
  readonly up: Promise<void>;
  readonly stop: () => Promise<void>;
}

const NAMES = ["A", "B"];
const STOP_MS = 2_000;
const POLL_MS = 20;

/** @throws Error if one of them does not come up. */
export async function startShopServers(databaseUrl: string): Promise<ShopServers> {
  const slots = NAMES.map((name) => createSlot(name, databaseUrl));
  const live = (): Upstream[] =>
    slots.map(({ server }) => server()).filter((server) => server !== undefined);
  const stop = async (): Promise<void> => {
    await Promise.all(slots.map((slot) => slot.stop()));
  };
  const next = async (): Promise<Upstream> => {
    turn += 1;
    for (;;) {
      const servers = live();
      const server = servers[turn % servers.length];
      if (server !== undefined) return server;
      await sleep(POLL_MS);
    }
  };
  let turn = 0;
  try {
    await Promise.all(slots.map(({ up }) => up));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    next,
    async ready() {
      while (live().length < slots.length) await sleep(POLL_MS);
    },
    stop,
  };
}

function createSlot(name: string, databaseUrl: string): Slot {
  let child = launch(databaseUrl);
  let server: Upstream | undefined;
  let isStopping = false;
  const come = async (): Promise<void> => {
    const own = child;
    own.once("exit", () => {
      server = undefined;
      if (isStopping) return;
      child = launch(databaseUrl);
      // A server that fails to come back leaves its place empty; the other goes on.
      come().catch(() => undefined);
    });
    const port = await portOf(own);
    const kill = (): void => {
      server = undefined;
      own.kill("SIGKILL");
    };
    server = { name, port, kill };
  };
  return {
    server: () => server,
    up: come(),
    stop() {
      isStopping = true;
      return end(child);
    },
  };
}

function launch(databaseUrl: string): ChildProcess {
  return fork(fileURLToPath(new URL("shop-server.ts", import.meta.url)), [], {
    env: { ...process.env, DATABASE_URL: databaseUrl },
    execArgv: ["--conditions=@oncekey/source"],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
}

async function portOf(child: ChildProcess): Promise<number> {
  const early = once(child, "exit").then(([code]) => {
    throw new Error(`a shop server ended before it was up, with ${code}`);
  });
  const [report] = (await Promise.race([once(child, "message"), early])) as [ShopServerReport];
  return report.port;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, "exit");
  if (child.connected) child.disconnect();
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await gone;
  clearTimeout(late);
}
