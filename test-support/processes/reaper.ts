/** Ends what its owner left running, and a folder, when the channel to the owner closes: for whatever reason, SIGKILL included. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { listProcesses } from "./processes.ts";

export interface Reaper {
  /** Removed in the end. */
  readonly folder: string;
  /**
   * For the environment of every process that is to end: its descendants inherit it, and no other
   * process has it.
   */
  readonly mark: Readonly<Record<string, string>>;
  /** Ends all of them now. Safe to call twice. */
  readonly stop: () => Promise<void>;
}

const MARK = "ONCEKEY_REAPED_WITH";
const PAUSE_MS = 100;

if (import.meta.main) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new TypeError("the reaper needs a folder");
  if (process.connected) await once(process, "disconnect");
  await reap(folder);
}

/**
 * Starts a process, in a session of its own, that watches over the others. It keeps no process
 * alive.
 */
export function startReaper(folder: string): Reaper {
  const child = fork(fileURLToPath(import.meta.url), [folder], {
    detached: true,
    execArgv: [],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  });
  child.unref();
  child.channel?.unref();
  return {
    folder,
    mark: { [MARK]: folder },
    async stop() {
      if (child.exitCode !== null) return;
      child.ref();
      const gone = once(child, "exit");
      if (child.connected) child.disconnect();
      await gone;
    },
  };
}

async function reap(folder: string): Promise<void> {
  // Patroni may be starting a server just now, so one look is not enough.
  for (let quiet = 0; quiet < 3; quiet += 1) {
    if (await killMarked(folder)) quiet = 0;
    await sleep(PAUSE_MS);
  }
  await rm(folder, { recursive: true, force: true });
}

/** Returns whether there was any. A server's own children, which hide their environment, end with it. */
async function killMarked(folder: string): Promise<boolean> {
  const all = await listProcesses();
  const marked = await Promise.all(all.map(({ pid }) => isMarked(pid, folder)));
  const own = all.filter((_, at) => marked[at] === true);
  for (const { pid } of own) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself since.
    }
  }
  return own.length > 0;
}

async function isMarked(pid: number, folder: string): Promise<boolean> {
  const variables = await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "");
  return variables.split("\0").includes(`${MARK}=${folder}`);
}
