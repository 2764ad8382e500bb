/** Ends what a cluster left running, and its folder, when the channel to the owner closes: for whatever reason, SIGKILL included. */
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { listProcesses } from "../../support/processes.ts";

/** In the environment of every process of the cluster, with the cluster's folder: its descendants inherit it, and nobody else has it. */
export const MARK = "ONCEKEY_FAILOVER_FOLDER";

const PAUSE_MS = 100;

if (import.meta.main) {
  const [folder] = process.argv.slice(2);
  if (folder === undefined) throw new TypeError("the reaper needs a folder");
  // A Ctrl-C is the owner's: what it still has to do it needs the processes for.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => undefined);
  if (process.connected) await once(process, "disconnect");
  await reap(folder);
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
