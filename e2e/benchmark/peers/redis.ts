/** A Redis with its default settings, for the peers that need one. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startReaper } from "@oncekey/test-support/processes/reaper";
import { superviseOnFreePort } from "@oncekey/test-support/processes/supervised";

export interface Redis {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

const READY = "Ready to accept connections";

/** Starts Debian's `redis-server`, which must be installed. It ends with this process. */
export async function startRedis(): Promise<Redis> {
  const folder = await mkdtemp(join(tmpdir(), "oncekey-redis-"));
  const reaper = startReaper(folder);
  const supervised = await superviseOnFreePort((port) => ({
    name: "Redis",
    launch: () =>
      spawn("redis-server", ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder], {
        env: { ...process.env, ...reaper.mark },
        detached: true,
        stdio: ["ignore", "pipe", "ignore"],
      }),
    async listening(child) {
      await isReady(child);
      return port;
    },
  }));
  return {
    url: `redis://127.0.0.1:${supervised.port()}`,
    pid: supervised.child().pid ?? 0,
    async stop() {
      await supervised.stop();
      await reaper.stop();
    },
  };
}

function isReady({ stdout }: ChildProcess): Promise<void> {
  let said = "";
  return new Promise((resolve) => {
    stdout?.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(-10_000);
      if (said.includes(READY)) resolve();
    });
  });
}
