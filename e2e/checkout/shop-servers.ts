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
  readonly name: string;
  process: ChildProcess;
  server: Upstream | undefined;
}

const NAMES = ["A", "B"];
const STOP_MS = 2_000;
const POLL_MS = 20;

/** @throws Error if one of them does not come up. */
export async function startShopServers(databaseUrl: string): Promise<ShopServers> {
  let isStopping = false;
  let turn = 0;

  const start = async (slot: Slot): Promise<void> => {
    const { process: child } = slot;
    child.once("exit", () => {
      slot.server = undefined;
      if (isStopping) return;
      slot.process = launch(databaseUrl);
      // A server that fails to come back leaves its slot empty; the others go on.
      start(slot).catch(() => undefined);
    });
    const port = await portOf(child);
    slot.server = { name: slot.name, port, kill: () => void child.kill("SIGKILL") };
  };

  const slots = NAMES.map((name): Slot => ({
    name,
    process: launch(databaseUrl),
    server: undefined,
  }));
  const stop = async (): Promise<void> => {
    isStopping = true;
    await Promise.all(slots.map(({ process: child }) => end(child)));
  };
  try {
    await Promise.all(slots.map(start));
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    async next() {
      turn += 1;
      for (;;) {
        const live = slots.map(({ server }) => server).filter((server) => server !== undefined);
        const server = live[turn % live.length];
        if (server !== undefined) return server;
        await sleep(POLL_MS);
      }
    },
    async ready() {
      while (slots.some(({ server }) => server === undefined)) await sleep(POLL_MS);
    },
    stop,
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
