/** Results of mutation testing, as docs/reports/mutation/ keeps them: a file for each area. */

/** Whether no test covers the mutant, or tests ran and passed. */
export type SurvivorStatus = "survived" | "not covered";

/** A change of the code, by what it does and not by its line: lines move. */
export interface Change {
  readonly file: string;
  /** Name of Stryker's mutator, or `Sql…` for one of ours. */
  readonly mutator: string;
  /** White space is collapsed in both texts. */
  readonly original: string;
  readonly replacement: string;
}

export interface Survivor extends Change {
  readonly line: number;
  /** Stryker's name of the place: lines from 1, columns from 0. Absent for SQL. */
  readonly range?: string;
  readonly status: SurvivorStatus;
}

/** Result of one file under one kind of mutators. */
export interface FileResult {
  readonly file: string;
  readonly kind: MutatorKind;
  /** UTC, to the minute. */
  readonly date: string;
  readonly seconds: number;
  readonly killed: number;
  /** Mutants that never ended: they count as noticed. */
  readonly timedOut: number;
  readonly survivors: readonly Survivor[];
  /** Absent if every mutant of the file was run. */
  readonly sample?: Sample;
  /** Whether the survivors have met the further tests of the area. */
  readonly hasMetAll?: boolean;
}

/** A part of a file's mutants, see `--sample`. */
export interface Sample {
  /** One mutant in this many is run. */
  readonly size: number;
  /** The number of mutants that the file has. */
  readonly of: number;
}

/** Whether Stryker mutates the code, or our own mutator the statements in it. */
export type MutatorKind = "code" | "sql";

const LONGEST = 160;

/** Returns one line of a text, for tables and for comparisons. */
export function collapse(text: string): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  return line.length <= LONGEST ? line : `${line.slice(0, LONGEST)}…`;
}

export function isSameChange(one: Change, other: Change): boolean {
  return (
    one.file === other.file &&
    one.mutator === other.mutator &&
    one.original === other.original &&
    one.replacement === other.replacement
  );
}

/** Returns how many mutants of a file were run. */
export function countMutants({ killed, timedOut, survivors }: FileResult): number {
  return killed + timedOut + survivors.length;
}
