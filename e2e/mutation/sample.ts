/** Samples of mutants. Each mutant is in or out by what it is: a run of the same code takes the same ones. */
import { createHash } from "node:crypto";

/** Names the variable that carries the size of a sample into Stryker's processes. */
export const SAMPLE_VARIABLE = "ONCEKEY_MUTATION_SAMPLE";

/** Whether a sample of one mutant in `size` has the mutant. */
export function isSampled(size: number, ...mutant: readonly string[]): boolean {
  const hash = createHash("sha256").update(JSON.stringify(mutant)).digest();
  return hash.readUInt32BE() % size === 0;
}
