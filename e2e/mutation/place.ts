/** Places of mutants in their files. */
import { collapse } from "./result.ts";
import type { Survivor } from "./result.ts";

interface Position {
  readonly line: number;
  readonly column: number;
}

/** Lines and columns are counted from 1. */
interface Place {
  readonly start: Position;
  readonly end: Position;
}

/** Returns Stryker's name of the place that a survivor has by now: the nearest lines with its text. `undefined` if its code has changed. */
export function findRange(
  source: string,
  { range = "", original }: Pick<Survivor, "range" | "original">,
): string | undefined {
  const [line = 0, column = 0, endLine = 0, endColumn = 0] = range.split(/[:-]/).map(Number);
  const shifts = source.split("\n").map((_line, index) => index + 1 - line);
  return shifts
    .toSorted((one, other) => Math.abs(one) - Math.abs(other))
    .map((shift) => ({
      start: { line: line + shift, column: column + 1 },
      end: { line: endLine + shift, column: endColumn + 1 },
    }))
    .filter((location) => collapse(textAt(source, location)) === original)
    .map(rangeOf)[0];
}

/** Returns Stryker's name of a place: lines from 1, columns from 0. */
export function rangeOf({ start, end }: Place): string {
  return `${start.line}:${start.column - 1}-${end.line}:${end.column - 1}`;
}

export function textAt(source: string, { start, end }: Place): string {
  const lines = source.split("\n").slice(start.line - 1, end.line);
  const last = lines.length - 1;
  const cut = lines.map((line, index) => (index === last ? line.slice(0, end.column - 1) : line));
  return [cut[0]?.slice(start.column - 1), ...cut.slice(1)].join("\n");
}
