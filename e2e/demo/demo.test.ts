import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { isDeep } from "@oncekey/test-support/lanes/depth";
import { until } from "@oncekey/test-support/processes/deadline";
import { findProcess, listProcesses } from "@oncekey/test-support/processes/processes";

const ROWS = 7;

test.concurrent("the demo charges once in every row with Oncekey, and ends well, even if its port is taken", async () => {
  const taken = createServer().listen(4040, "127.0.0.1");
  // A port that another process has taken is as good.
  await once(taken, "listening").catch(() => undefined);
  const demo = startDemo([], ["--once"]);
  const [code] = await once(demo.process, "exit");
  taken.close();
  expect(demo.said()).toContain(`Oncekey charged once in ${ROWS} of ${ROWS}`);
  expect(demo.said()).toMatch(
    /The reply is dropped +2 attempts, 1 key, 1 charge +2 attempts, no key, 2 charges/,
  );
  expect(code).toBe(0);
});

test.runIf(isDeep).concurrent.each(["SIGINT", "SIGTERM", "SIGKILL"] as const)(
  "%s at the demo leaves no process and no folder behind (in test:deep)",
  async (signal) => {
    const demo = startDemo();
    await demo.says("Nothing goes wrong");
    const { pids, folders } = await startedBy(demo.process.pid ?? 0);
    expect(pids.length).toBeGreaterThan(3);
    expect(folders.map((folder) => existsSync(folder))).toEqual([true]);
    const exit = once(demo.process, "exit");
    demo.process.kill(signal);
    const [code] = await exit;
    expect(code).toBe(signal === "SIGKILL" ? null : 0);
    await gone(pids);
    expect(folders.map((folder) => existsSync(folder))).toEqual([false]);
  },
);

test
  .runIf(isDeep)
  .concurrent("the demo ends when the pnpm that launched it is killed (in test:deep)", async () => {
    const folder = await mkdtemp(join(tmpdir(), "oncekey-launcher-"));
    const launcher = join(folder, "pnpm.mjs");
    await writeFile(launcher, LAUNCHER);
    const demo = startDemo([launcher]);
    await demo.says("Nothing goes wrong");
    const { pids } = await startedBy(demo.process.pid ?? 0);
    demo.process.kill("SIGKILL");
    await gone(pids);
    await rm(folder, { recursive: true });
  });

/** A stand-in for pnpm: its name, and that it passes no signal on. */
const LAUNCHER = `
import { spawn } from "node:child_process";
spawn(process.execPath, process.argv.slice(2), { stdio: "inherit" });`;

interface Demo {
  readonly process: ChildProcess;
  readonly said: () => string;
  readonly says: (text: string) => Promise<void>;
}

function startDemo(before: string[] = [], after: string[] = []): Demo {
  const script = fileURLToPath(new URL("demo.ts", import.meta.url));
  const demo = ["--conditions=@oncekey/source", script];
  const child = spawn(process.execPath, [...before, ...demo, ...after], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk;
  });
  return {
    process: child,
    said: () => said,
    async says(text) {
      while (!said.includes(text)) await once(child.stdout, "data");
    },
  };
}

interface Started {
  readonly pids: readonly number[];
  /** Data folders of Postgres servers among them. */
  readonly folders: readonly string[];
}

/** Everything below a process, as the system sees it. */
async function startedBy(root: number): Promise<Started> {
  const all = await listProcesses();
  const below = (parent: number): typeof all =>
    all.filter((one) => one.parent === parent).flatMap((one) => [one, ...below(one.pid)]);
  const started = below(root);
  const folders = started.flatMap(({ command }) => / -D (\S+)\/data /.exec(command)?.[1] ?? []);
  return { pids: started.map(({ pid }) => pid), folders };
}

async function gone(pids: readonly number[]): Promise<void> {
  let left: unknown[] = [];
  const areGone = async (): Promise<boolean> => {
    const found = await Promise.all(pids.map(findProcess));
    left = found.filter((one) => one !== undefined);
    return left.length === 0;
  };
  await until(areGone, { what: () => `the end of ${JSON.stringify(left)}` });
}
