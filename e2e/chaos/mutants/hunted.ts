/** Results of the hunts for planted bugs, and their page. */
import { provenance, table } from "@oncekey/test-support/reporting/page";
import type { Catch } from "./hunt.ts";
import type { HuntName, Mutant } from "./mutant.ts";
import { UNSEEN } from "./unseen.ts";

export interface Hunted {
  /** Number of planned hunts. */
  readonly planned: number;
  readonly catches: readonly { readonly mutant: Mutant; readonly caught: Catch }[];
  /** The same hunts where no bug is planted: what they find is a false alarm. */
  readonly control: {
    readonly planned: number;
    readonly hunts: number;
    readonly alarms: number;
  };
  /** Hunts that broke off, by name: nothing is known of them. */
  readonly broken: readonly string[];
}

/** Before the first hunt. */
export function huntedNone(
  mutants: readonly Mutant[],
  controls: readonly HuntName[] = mutants.map(({ hunt }) => hunt),
): Hunted {
  const control = { planned: new Set(controls).size, hunts: 0, alarms: 0 };
  return { planned: mutants.length, catches: [], control, broken: [] };
}

/** Bugs that survived their hunt, false alarms, and hunts that broke off. */
export function countWrong({ catches, control, broken }: Hunted): number {
  return catches.length - countCaught(catches) + control.alarms + broken.length;
}

/** Whether all was hunted that was to be. */
export function isWhole({ planned, catches, control }: Hunted): boolean {
  return catches.length === planned && control.hunts === control.planned;
}

/** In sentences. */
export function summarize({ planned, catches, control, broken }: Hunted): string {
  const off = broken.length === 0 ? "" : ` Hunts that broke off: ${broken.join(", ")}.`;
  return `${catches.length} of ${planned} were hunted, and ${countCaught(catches)} were caught. ${control.hunts} of ${control.planned} hunts of the same kinds where no bug was planted raised ${control.alarms} false alarms.${off}`;
}

export function formatPlanted(hunted: Hunted, commit: string): string {
  const lines = hunted.catches.map(({ mutant, caught }) => [
    mutant.what,
    `\`${mutant.edits.at(-1)?.file ?? ""}\``,
    caught.invariants.length === 0 ? "**survived**" : caught.invariants.join(", "),
    String(caught.operations),
  ]);
  return `# Bugs that were planted

${provenance("test:faults --mutants", commit)} Each is a line of the product, or a few, changed in a copy; \`e2e/chaos/mutants/\` has them.
${summarize(hunted)}

| bug | where | caught by | after operations |
| --- | --- | --- | --- |
${table(lines)}

The invariants are in \`e2e/chaos/checker\`. Operations are counted up to the first that shows the bug; a hunt
looks at its history when it has ended.

## What no hunt shows

The rig never comes into the situation of these kinds of bugs. A test of the package does.

| kind | why the rig cannot see it | test |
| --- | --- | --- |
${table(UNSEEN.map(({ kind, why, file, title }) => [kind, why, `\`${file}\`: ${title}`]))}
`;
}

function countCaught(catches: Hunted["catches"]): number {
  return catches.filter(({ caught }) => caught.invariants.length > 0).length;
}
