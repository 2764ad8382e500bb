/** What was caught of the bugs that were planted, and how it is told. */
import { provenance, table } from "../page.ts";
import type { Catch } from "./hunt.ts";
import type { Mutant } from "./mutant.ts";

export interface Hunted {
  /** How many were to be hunted. */
  readonly planned: number;
  readonly catches: readonly { readonly mutant: Mutant; readonly caught: Catch }[];
  /** The same hunts where no bug is planted: what they find is a false alarm. */
  readonly control: {
    readonly planned: number;
    readonly hunts: number;
    readonly alarms: number;
  };
}

/** Bugs that survived their hunt, and false alarms. */
export function countWrong({ catches, control }: Hunted): number {
  return catches.length - countCaught(catches) + control.alarms;
}

/** Whether all was hunted that was to be. */
export function isWhole({ planned, catches, control }: Hunted): boolean {
  return catches.length === planned && control.hunts === control.planned;
}

/** In sentences. */
export function summarize({ planned, catches, control }: Hunted): string {
  return `${catches.length} of ${planned} were hunted, and ${countCaught(catches)} were caught. ${control.hunts} of ${control.planned} hunts of the same kinds where no bug was planted raised ${control.alarms} false alarms.`;
}

export function formatPlanted(hunted: Hunted, commit: string): string {
  const lines = hunted.catches.map(({ mutant, caught }) => [
    mutant.what,
    `\`${mutant.edits.at(-1)?.file ?? ""}\``,
    caught.invariants.length === 0 ? "**survived**" : caught.invariants.join(", "),
    String(caught.operations),
  ]);
  return `# Bugs that were planted

${provenance("test:faults --mutants", commit)} Each is a line of the product, or a few, changed in a copy; \`e2e/faults/mutants/\` has them.
${summarize(hunted)}

| bug | where | caught by | after operations |
| --- | --- | --- | --- |
${table(lines)}

The invariants are in \`e2e/faults/checker\`. Operations are counted up to the first that shows the bug; a hunt
looks at its history when it has ended.
`;
}

function countCaught(catches: Hunted["catches"]): number {
  return catches.filter(({ caught }) => caught.invariants.length > 0).length;
}
