import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { access, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";
import { isDeep } from "@oncekey/test-support/lanes/depth";
import { findProcess, listProcesses } from "@oncekey/test-support/processes/processes";
import type { RunningProcess } from "@oncekey/test-support/processes/processes";

/** Ends only what hangs. */
const TEST_TIMEOUT_MS = 300_000;
const HUNT = "/e2e/chaos/mutants/hunt.ts";
/** A whole fleet: servers, a Postgres and what keeps them; PgBouncer where there is one. */
const FLEET = ["system/server.ts", "postgres -D", "reaper.ts"];

let pages: string;
beforeEach(async () => {
  pages = await mkdtemp(join(tmpdir(), "oncekey-pages-"));
});
afterEach(() => rm(pages, { recursive: true }));

type Interrupted = [name: string, command: string[], interrupt: (rig: ChildProcess) => void];
const SOAK: Interrupted = ["Ctrl-C, in a soak", ["soak.ts"], (rig) => signalGroup(rig, "SIGINT")];

test.each<Interrupted>([
  ["a terminal that closes", ["run.ts", "--operations", "300"], closeTerminal],
  ...(isDeep ? [SOAK] : []),
])(
  "%s: the rig judges what has happened, says that it was interrupted, and leaves nothing behind",
  async (_name, command, interrupt) => {
    const { rig, said } = await startRig(command);
    const gone = once(rig, "exit");
    const fleet = await descendantsOf(rig);
    interrupt(rig);
    const [code] = await gone;
    const page = await readFile(
      join(pages, command[0] === "soak.ts" ? "soak.md" : "faults.md"),
      "utf8",
    );
    expect(page).toContain("It was interrupted");
    // On an overloaded machine the run may have found violations: then it has to report them.
    const isBroken = !/violations\s+\| 0 /.test(page);
    expect(code, said()).toBe(isBroken ? 1 : 2);
    await allGone(fleet);
  },
  TEST_TIMEOUT_MS,
);

test.runIf(isDeep)(
  "Ctrl-C, in a hunt for planted bugs: it says how many were hunted, and leaves neither processes nor its copy behind (in test:deep)",
  async () => {
    const { rig, said } = await startRig(["run.ts", "--mutants"]);
    const gone = once(rig, "exit");
    const { fleet, copy } = await nextHunt(rig);
    signalGroup(rig, "SIGINT");
    const [code] = await gone;
    const page = await readFile(join(pages, "planted-bugs.md"), "utf8");
    const [, hunted = "", planned, caught] =
      /(\d+) of (\d+) were hunted, and (\d+) were caught/.exec(page.replaceAll("\n", " ")) ?? [];
    expect(Number(hunted), said()).toBeGreaterThan(0);
    expect(Number(hunted)).toBeLessThan(Number(planned));
    // A bug that survives on an overloaded machine has to be reported as a survivor.
    expect(code, said()).toBe(caught === hunted ? 2 : 1);
    await allGone(fleet);
    await expect.poll(() => isThere(copy)).toBe(false);
  },
  TEST_TIMEOUT_MS,
);

test.runIf(isDeep)(
  "SIGKILL, in a hunt for planted bugs: neither processes nor the copy stay (in test:deep)",
  async () => {
    const { rig } = await startRig(["run.ts", "--mutants"]);
    const { fleet, copy } = await nextHunt(rig);
    rig.kill("SIGKILL");
    await allGone(fleet);
    await expect.poll(() => isThere(copy)).toBe(false);
  },
  TEST_TIMEOUT_MS,
);

test(
  "SIGKILL: servers that stand still, the pooler and the database end with the rig",
  async () => {
    const { rig } = await startRig(["run.ts", "--operations", "300"]);
    const fleet = await descendantsOf(rig);
    for (const { pid, command } of fleet)
      if (command.includes("system/server.ts")) stopProcess(pid);
    rig.kill("SIGKILL");
    await allGone(fleet);
  },
  TEST_TIMEOUT_MS,
);

interface Started {
  readonly rig: ChildProcess;
  /** Returns all its output. */
  readonly said: () => string;
}

/** Runs a command of the rig until it has a load on it. */
async function startRig([file, ...words]: readonly string[]): Promise<Started> {
  const script = fileURLToPath(new URL(file ?? "", import.meta.url));
  const args = [
    "--conditions=@oncekey/source",
    script,
    ...words,
    "--minutes",
    "1",
    "--pages",
    pages,
  ];
  // A session of its own, as in a terminal of its own.
  const rig = spawn(process.execPath, args, { detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let said = "";
  for (const stream of [rig.stdout, rig.stderr])
    stream.setEncoding("utf8").on("data", (part: string) => {
      said += part;
    });
  await once(rig.stdout, "data");
  return { rig, said: () => said };
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid !== undefined) process.kill(-pid, signal);
}

/** A strike of the rig may have killed it in between. */
function stopProcess(pid: number): void {
  try {
    process.kill(pid, "SIGSTOP");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function closeTerminal(rig: ChildProcess): void {
  rig.stdout?.destroy();
  rig.stderr?.destroy();
  signalGroup(rig, "SIGHUP");
}

async function descendantsOf({ pid = 0 }: ChildProcess): Promise<RunningProcess[]> {
  const found = await allBelow(pid);
  for (const part of FLEET) expect(found.some(({ command }) => command.includes(part))).toBe(true);
  return found;
}

interface Hunt {
  readonly fleet: readonly RunningProcess[];
  /** The folder that it is in. */
  readonly copy: string;
}

/** The one that is under way, when it has its fleet. */
async function nextHunt({ pid = 0 }: ChildProcess): Promise<Hunt> {
  let fleet: RunningProcess[] = [];
  const isWhole = async (): Promise<boolean> => {
    fleet = await allBelow(pid);
    return [HUNT, ...FLEET].every((part) => fleet.some(({ command }) => command.includes(part)));
  };
  await expect.poll(isWhole).toBe(true);
  const command = fleet.find((one) => one.command.includes(HUNT))?.command.split(" ") ?? [];
  const copy = command.find((word) => word.endsWith(HUNT))?.slice(0, -HUNT.length) ?? "";
  expect(await isThere(copy)).toBe(true);
  return { fleet, copy };
}

async function allBelow(pid: number): Promise<RunningProcess[]> {
  const all = await listProcesses();
  const found: RunningProcess[] = [];
  for (let parents = [pid]; parents.length > 0;) {
    const children = all.filter(({ parent }) => parents.includes(parent));
    found.push(...children);
    parents = children.map((child) => child.pid);
  }
  return found;
}

function isThere(folder: string): Promise<boolean> {
  return access(folder).then(
    () => true,
    () => false,
  );
}

async function allGone(processes: readonly RunningProcess[]): Promise<void> {
  await expect
    .poll(async () => {
      const now = await Promise.all(processes.map(({ pid }) => findProcess(pid)));
      return now.filter((one, at) => one?.command === processes[at]?.command && one !== undefined);
    })
    .toEqual([]);
}
