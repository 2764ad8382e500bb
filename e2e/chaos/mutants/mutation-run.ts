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
  const copy = await copyProject();
  const broken: string[] = [];
  const attempt: Attempt = async (name, hunting) => {
    try {
      return await hunting();
    } catch (error) {
      // One that breaks off is no reason to know nothing of the others.
      broken.push(name);
      console.error(`${name} broke off:`, error);
      return undefined;
    }
  };
  try {
    const catches = await huntPlanted(copy, mutants, signal, attempt);
    const hunts = await huntNothing(copy, names, signal, attempt);
    const alarms = hunts.filter(({ invariants }) => invariants.length > 0).length;
    const control = { planned: names.length, hunts: hunts.length, alarms };
    return { planned: mutants.length, catches, control, broken };
  } finally {
    await copy.remove();
  }
}

/** Undefined: it was interrupted, or broke off. */
type Attempt = (
  name: string,
  hunting: () => Promise<Catch | undefined>,
) => Promise<Catch | undefined>;

async function huntPlanted(
  copy: ProjectCopy,
  mutants: readonly Mutant[],
  signal: AbortSignal,
  attempt: Attempt,
): Promise<Hunted["catches"]> {
  const catches: { mutant: Mutant; caught: Catch }[] = [];
  for (const mutant of mutants) {
    if (signal.aborted) break;
    const caught = await attempt(mutant.name, async () => {
      await copy.plant(mutant.edits);
      return hunt(copy, mutant.hunt, "planted", signal);
    });
    if (caught === undefined) continue;
    catches.push({ mutant, caught });
    report(mutant.name, caught);
  }
  return catches;
}

async function huntNothing(
  copy: ProjectCopy,
  names: readonly HuntName[],
  signal: AbortSignal,
  attempt: Attempt,
): Promise<Catch[]> {
  await copy.plant([]);
  const hunts: Catch[] = [];
  for (const name of names) {
    if (signal.aborted) break;
    const what = `(no bug, ${name})`;
    const caught = await attempt(what, () => hunt(copy, name, "control", signal));
    if (caught === undefined) continue;
    hunts.push(caught);
    report(what, caught);
    if (caught.invariants.length > 0) console.log(caught.verdict);
  }
  return hunts;
}

/** Undefined: it was interrupted. */
async function hunt(
  { folder }: ProjectCopy,
  name: HuntName,
  kind: "planted" | "control",
  signal: AbortSignal,
): Promise<Catch | undefined> {
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
