/** CPU time as Linux counts it under /proc. Elsewhere every figure is `undefined`. */
import { readdir, readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { listProcesses } from "@oncekey/test-support/processes/processes";
import type { RunningProcess } from "@oncekey/test-support/processes/processes";

/** CPU times at one instant, in µs since each process was started. */
export interface CpuSnapshot {
  readonly atMs: number;
  /** Time that the cores of the machine were busy or taken away by the host. */
  readonly machine: number | undefined;
  /** This process and all its descendants. */
  readonly own: number;
  readonly server: number;
  readonly databases: number;
  readonly loader: number;
}

/** The roots of the process trees that are counted separately. */
export interface MeasuredProcesses {
  readonly server: number;
  readonly databases: readonly number[];
  readonly loader: number;
}

/** CPU time used between two snapshots. */
export interface CpuUse {
  /** µs of the server, of the databases with all their processes, and of the load generator. */
  readonly server: number;
  readonly databases: number;
  readonly loader: number;
  /** Part of the machine's cores that other processes used. `@range 0–1` */
  readonly noise: number;
}

// A tick is 10 ms on every Linux that Node supports.
const TICK_US = 10_000;
// The fields of /proc/stat that are left out: idle, iowait, and interrupts, which are the measured packets' own and count for no
// process.
const LEFT_OUT = new Set([3, 4, 5, 6]);
const COUNTED_COLUMNS = 8;

export async function takeSnapshot(of: MeasuredProcesses): Promise<CpuSnapshot> {
  const [processes, machine] = await Promise.all([listProcesses(), machineTime()]);
  const atMs = performance.now();
  const inTree = (root: number): Promise<number> => sumOf(treeOf(root, processes).map(processTime));
  const [own, server, databases, loader] = await Promise.all([
    inTree(process.pid),
    inTree(of.server),
    sumOf(of.databases.map(inTree)),
    inTree(of.loader),
  ]);
  return { atMs, machine, own, server, databases, loader };
}

/** Returns what was used between the snapshots, or `undefined` if the system does not report it. */
export function useBetween(before: CpuSnapshot, after: CpuSnapshot): CpuUse | undefined {
  if (before.machine === undefined || after.machine === undefined) return undefined;
  const availableUs = (after.atMs - before.atMs) * 1_000 * availableParallelism();
  const othersUs = after.machine - before.machine - (after.own - before.own);
  return {
    server: after.server - before.server,
    databases: after.databases - before.databases,
    loader: after.loader - before.loader,
    noise: Math.min(1, Math.max(0, othersUs / availableUs)),
  };
}

async function sumOf(times: readonly Promise<number>[]): Promise<number> {
  return (await Promise.all(times)).reduce((sum, time) => sum + time, 0);
}

/** Lists a process and all its descendants. */
function treeOf(root: number, processes: readonly RunningProcess[]): number[] {
  const found = [root];
  for (const pid of found) {
    for (const { pid: child, parent } of processes) if (parent === pid) found.push(child);
  }
  return found;
}

async function machineTime(): Promise<number | undefined> {
  const stat = await readFile("/proc/stat", "utf8").catch(() => undefined);
  const columns = stat
    ?.split("\n", 1)[0]
    ?.split(/\s+/)
    .slice(1, 1 + COUNTED_COLUMNS);
  return columns?.reduce(
    (sum, ticks, column) => (LEFT_OUT.has(column) ? sum : sum + Number(ticks) * TICK_US),
    0,
  );
}

/** Sums the threads' own times, which are exact to the ns, and those of children that have ended. */
async function processTime(pid: number): Promise<number> {
  try {
    const threads = await readdir(`/proc/${pid}/task`);
    const times = await Promise.all(
      threads.map(async (thread) => {
        const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, "utf8");
        return Number(text.split(" ", 1)[0]) / 1_000;
      }),
    );
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    const [ofChildren = 0, ofChildrenInKernel = 0] = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .slice(13, 15)
      .map(Number);
    const ended = (ofChildren + ofChildrenInKernel) * TICK_US;
    return times.reduce((sum, time) => sum + time, ended);
  } catch {
    return 0;
  }
}
