/**
 * Plants each bug into a copy, hunts it there, and runs each kind of hunt again without a planted
 * bug.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { copyProject } from "./copy.ts";
import type { ProjectCopy } from "./copy.ts";
import type { Catch } from "./hunt.ts";
import type { Hunted } from "./hunted.ts";
import type { HuntName, Mutant } from "./mutant.ts";

/** Hunts at a time, each with a copy and a fleet of its own: a hunt waits most of its time. */
const LANES = 3;

/** One hunt, in the copy of its lane. */
type Hunting = (copy: ProjectCopy) => Promise<void>;

/**
 * @param signal ends the hunts; what was hunted until then is returned.
 * @param controls the hunts to repeat where no bug is planted. Default: each that hunts one of the mutants.
 */
export async function huntMutants(
  mutants: readonly Mutant[],
  signal: AbortSignal,
  controls: readonly HuntName[] = mutants.map(({ hunt: name }) => name),
): Promise<Hunted> {
  const names = [...new Set(controls)];
  const caughtBy = new Map<Mutant, Catch>();
  const hunts: Catch[] = [];
  const broken: string[] = [];
  const attempt = async (name: string, hunting: () => Promise<void>): Promise<void> => {
    try {
      await hunting();
    } catch (error) {
      // One that breaks off is no reason to know nothing of the others.
      broken.push(name);
      console.error(`${name} broke off:`, error);
    }
  };
  const huntPlanted = (mutant: Mutant): Hunting => {
    return (copy) =>
      attempt(mutant.name, async () => {
        await copy.plant(mutant.edits);
        const caught = await hunt(copy, mutant.hunt, "planted", signal);
        if (caught === undefined) return;
        caughtBy.set(mutant, caught);
        report(mutant.name, caught);
      });
  };
  const huntNothing = (name: HuntName): Hunting => {
    const what = `(no bug, ${name})`;
    return (copy) =>
      attempt(what, async () => {
        await copy.plant([]);
        const caught = await hunt(copy, name, "control", signal);
        if (caught === undefined) return;
        hunts.push(caught);
        report(what, caught);
        if (caught.invariants.length > 0) console.log(caught.verdict);
      });
  };
  await workThrough([...mutants.map(huntPlanted), ...names.map(huntNothing)], signal);
  const alarms = hunts.filter(({ invariants }) => invariants.length > 0).length;
  return {
    planned: mutants.length,
    catches: mutants.flatMap((mutant) => {
      const caught = caughtBy.get(mutant);
      return caught === undefined ? [] : [{ mutant, caught }];
    }),
    control: { planned: names.length, hunts: hunts.length, alarms },
    broken,
  };
}

async function workThrough(huntings: readonly Hunting[], signal: AbortSignal): Promise<void> {
  const queue = huntings.values();
  const lane = async (): Promise<void> => {
    // An interrupted run copies nothing.
    if (signal.aborted) return;
    const copy = await copyProject();
    try {
      for (const hunting of queue) {
        if (signal.aborted) return;
        await hunting(copy);
      }
    } finally {
      await copy.remove();
    }
  };
  await Promise.all(Array.from({ length: Math.min(LANES, huntings.length) }, lane));
}

/** Undefined: it was interrupted. */
async function hunt(
  { folder }: ProjectCopy,
  name: HuntName,
  kind: "planted" | "control",
  signal: AbortSignal,
): Promise<Catch | undefined> {
  // A signal that has aborted while the bug was planted calls no listener any more.
  if (signal.aborted) return undefined;
  const child = fork(join(folder, "e2e/chaos/mutants/hunt.ts"), [name, kind], {
    cwd: folder,
    execArgv: ["--conditions=@oncekey/source"],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    // A Ctrl-C reaches the whole terminal; this process decides when the hunt ends.
    detached: true,
  });
  const stop = (): void => {
    if (child.connected) child.disconnect();
  };
  signal.addEventListener("abort", stop, { once: true });
  const gone = once(child, "exit");
  const message = await Promise.race([
    once(child, "message").then(([caught]) => caught as Catch),
    gone.then(() => undefined),
  ]);
  await gone;
  signal.removeEventListener("abort", stop);
  // Nothing was judged: neither a catch nor an alarm.
  if (message === undefined && !signal.aborted) throw new Error(`the hunt ${name} broke off`);
  return message;
}

function report(name: string, { invariants, operations, history }: Catch): void {
  console.log(
    invariants.length === 0
      ? `${name}: nothing was found in ${operations} operations`
      : `${name}: ${invariants.join(", ")} after ${operations} operations`,
  );
  if (history !== undefined) console.log(`the whole history: ${history} (test:faults --judge)`);
}
