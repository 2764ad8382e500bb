/** The story as a table for a terminal. */
import { isOnce } from "./story.ts";
import type { Row, Told } from "./story.ts";

interface Column {
  readonly title: string;
  readonly width: number;
  readonly cell: (row: Row) => string;
}

const COLUMNS: readonly Column[] = [
  { title: "What goes wrong", width: 34, cell: ({ title }) => title },
  { title: "With Oncekey", width: 32, cell: ({ oncekey }) => told(oncekey) },
  { title: "Plain fetch, by hand", width: 32, cell: ({ byHand }) => told(byHand) },
  { title: "Verdict", width: 0, cell: verdict },
];

export function formatHead(): string {
  const titles = line(({ title }) => title);
  return `${titles}\n${"─".repeat(titles.length + 12)}`;
}

export function formatRow(row: Row): string {
  return line(({ cell }) => cell(row));
}

/** Formats the number of right rows, as the last line. */
export function formatVerdict(rows: readonly Row[]): string {
  const right = rows.filter(isOnce).length;
  const twice = rows.filter(({ byHand }) => byHand.charges > 1).length;
  return `Oncekey charged once in ${right} of ${rows.length}; by hand, ${twice} were charged more than once.`;
}

function line(cell: (column: Column) => string): string {
  return COLUMNS.map((column) => cell(column).padEnd(column.width))
    .join("")
    .trimEnd();
}

function told({ attempts, keys, charges }: Told): string {
  return [
    count(attempts, "attempt"),
    keys === 0 ? "no key" : count(keys, "key"),
    count(charges, "charge"),
  ].join(", ");
}

function verdict(row: Row): string {
  if (!isOnce(row)) return "WRONG";
  return row.byHand.charges === 1 ? "once" : `once, not ${row.byHand.charges} times`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
