/** Keeps a history while it happens, and carries it to a file of one JSON object a line and back. */
import { readFile, writeFile } from "node:fs/promises";
import type { HistoryEvent, Instant, Invoke } from "./event.ts";

type Without<Event, Names extends PropertyKey> = Event extends unknown ? Omit<Event, Names> : never;

/** An event before it is stamped. */
export type Happening = Without<Exclude<HistoryEvent, Invoke>, keyof Instant>;

export interface History {
  readonly events: readonly HistoryEvent[];
  /** Opens an attempt and returns its number. */
  invoke(what: Omit<Invoke, keyof Instant | "kind" | "attempt">): number;
  add(what: Happening): void;
  /** Returns how many attempts at an operation have been opened in a scope, by any client. */
  attemptsAt(operation: string, scope: string): number;
}

export function createHistory(): History {
  const events: HistoryEvent[] = [];
  let attempts = 0;
  const attemptsAt = new Map<string, number>();
  const nameOf = (operation: string, scope: string): string => `${operation} ${scope}`;
  const instant = (): Instant => ({ atMs: performance.now(), wallAt: Date.now() });
  return {
    events,
    invoke(what) {
      attempts += 1;
      const name = nameOf(what.operation, what.scope);
      attemptsAt.set(name, (attemptsAt.get(name) ?? 0) + 1);
      events.push({ kind: "invoke", attempt: attempts, ...what, ...instant() });
      return attempts;
    },
    add: (what) => void events.push({ ...what, ...instant() }),
    attemptsAt: (operation, scope) => attemptsAt.get(nameOf(operation, scope)) ?? 0,
  };
}

/** One JSON object a line, the parts of a history first and the rows of the database after them. */
export async function writeLines(file: string, lines: readonly object[]): Promise<void> {
  await writeFile(file, lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
}

/** @throws SyntaxError where a line is no JSON. */
export async function readLines<Line>(file: string): Promise<Line[]> {
  const text = await readFile(file, "utf8");
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line);
}
