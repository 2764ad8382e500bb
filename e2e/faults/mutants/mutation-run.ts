/** `test:faults --mutants`: plants each bug into a copy, hunts it there, and writes the table of what was caught by what. */
import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { provenance, table, writePage } from "../page.ts";
import { copyProject } from "./copy.ts";
import type { ProjectCopy } from "./copy.ts";
import type { Catch } from "./hunt.ts";
import type { HuntName, Mutant } from "./mutant.ts";
import { MUTANTS } from "./mutants.ts";

/** What was found where there was nothing to be found. */
interface Control {
  readonly hunts: number;
  readonly alarms: number;
}

interface Row {
  readonly mutant: Mutant;
  readonly caught: Catch;
}

/**
 * @param only the name of one of them; `undefined`: all.
 * @param pages the folder of the page about it.
 * @returns how many of those that were hunted were not caught, hunts that found something where no bug is planted included.
 */
export async function huntMutants(
  only: string | undefined,
  pages: string,
  signal: AbortSignal,
): Promise<number> {
  const mutants = MUTANTS.filter(({ name }) => only === undefined || name === only);
  if (mutants.length === 0)
    throw new RangeError(`--mutant must be one of ${MUTANTS.map(({ name }) => name).join(", ")}`);
  const copy = await copyProject();
  try {
    const rows: Row[] = [];
    for (const mutant of mutants) {
      if (signal.aborted) break;
      await copy.plant(mutant.edits);
      const caught = await hunt(copy, mutant.hunt, signal);
      if (caught === undefined) break;
      rows.push({ mutant, caught });
      console.log(describe(mutant.name, caught));
    }
    const control = await huntNothing(copy, mutants, signal);
    const survived = rows.filter(({ caught }) => caught.invariants.length === 0).length;
    if (only === undefined)
      await writePage(join(pages, "planted-bugs.md"), formatPage(rows, mutants.length, control));
    return control.alarms + survived;
  } finally {
    await copy.remove();
  }
}

/** The same hunts where no bug is planted: what they find then is a false alarm. */
async function huntNothing(
  copy: ProjectCopy,
  mutants: readonly Mutant[],
  signal: AbortSignal,
): Promise<Control> {
  await copy.plant([]);
  let hunts = 0;
  let alarms = 0;
  for (const name of new Set(mutants.map(({ hunt: used }) => used))) {
    if (signal.aborted) break;
    const caught = await hunt(copy, name, signal);
    if (caught === undefined) break;
    hunts += 1;
    if (caught.invariants.length > 0) alarms += 1;
    console.log(describe(`(no bug, ${name})`, caught));
    if (caught.invariants.length > 0) console.log(caught.verdict);
  }
  return { hunts, alarms };
}

/** Undefined: it was interrupted. */
async function hunt(
  { folder }: ProjectCopy,
  name: HuntName,
  signal: AbortSignal,
): Promise<Catch | undefined> {
  const child = fork(join(folder, "e2e/faults/mutants/hunt.ts"), [name], {
    cwd: folder,
    execArgv: ["--conditions=@oncekey/source"],
    stdio: ["ignore", "ignore", "inherit", "ipc"],
    // A Ctrl-C reaches the whole terminal; this process decides when the hunt ends.
    detached: true,
  });
  const stop = (): void => child.disconnect();
  signal.addEventListener("abort", stop, { once: true });
  const gone = once(child, "exit");
  const message = await Promise.race([
    once(child, "message").then(([caught]) => caught as Catch),
    gone.then(() => undefined),
  ]);
  await gone;
  signal.removeEventListener("abort", stop);
  // A copy that does not even start, or that ends its run, is no copy to take anything from.
  if (message === undefined && !signal.aborted)
    return { invariants: ["the run broke off"], operations: 0, verdict: "the run broke off" };
  return message;
}

function describe(name: string, { invariants, operations }: Catch): string {
  return invariants.length === 0
    ? `${name}: nothing was found in ${operations} operations`
    : `${name}: ${invariants.join(", ")} after ${operations} operations`;
}

function formatPage(rows: readonly Row[], planned: number, control: Control): string {
  const lines = rows.map(({ mutant, caught }) => [
    mutant.what,
    `\`${mutant.edits.at(-1)?.file ?? ""}\``,
    caught.invariants.length === 0 ? "**survived**" : caught.invariants.join(", "),
    String(caught.operations),
  ]);
  return `# Bugs that were planted

${provenance("test:faults --mutants")} Each is a line of the product changed in a copy; \`e2e/faults/mutants/mutants.ts\` has them. ${rows.length} of ${planned} were
hunted. ${control.hunts} hunts of the same kinds where no bug was planted raised ${control.alarms} false alarms.

| bug | where | caught by | after operations |
| --- | --- | --- | --- |
${table(lines)}

The invariants are in \`e2e/faults/checker\`. Operations are counted up to the first that shows the bug; a hunt
looks at its history when it has ended.
`;
}
