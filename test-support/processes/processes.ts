/** The processes of this machine, as Linux lists them under /proc. Elsewhere the list is empty. */
import { readdir, readFile } from "node:fs/promises";

export interface RunningProcess {
  readonly pid: number;
  readonly parent: number;
  /** Program and arguments, separated by spaces. */
  readonly command: string;
}

/** All that run. One that has ended and whose parent has not noticed yet does not run. */
export async function listProcesses(): Promise<RunningProcess[]> {
  const names = await readdir("/proc").catch(() => []);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(findProcess));
  return found.filter((one) => one !== undefined);
}

export async function findProcess(pid: number): Promise<RunningProcess | undefined> {
  try {
    const [stat, line] = await Promise.all([
      readFile(`/proc/${pid}/stat`, "utf8"),
      readFile(`/proc/${pid}/cmdline`, "utf8"),
    ]);
    // The name in parentheses may itself have spaces and parentheses, so what follows it is counted from its end.
    const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (state === "Z" || state === "X") return undefined;
    return { pid, parent: Number(parent), command: line.replaceAll("\0", " ").trim() };
  } catch {
    return undefined;
  }
}
