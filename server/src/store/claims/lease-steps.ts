/** Finished steps of a lease's handler, as the record keeps them: a JSON object as text. */

// No step can have this name. It stores the last attempt that released its key in order, for the
// next attempt.
const GIVEN_BACK = "";

/** Finished steps of a claim. */
export interface LeaseSteps {
  read(name: string): string | undefined;
  add(name: string, json: string): void;
  isEmpty(): boolean;
  /** The text of the column. It only grows, so that a late write of it takes nothing back. */
  text(): string;
  /** The text of the column if this attempt gives its key back. */
  givenBackText(): string;
}

/** @param text what earlier attempts left. */
export function readSteps(text: string | null, attempt: number): LeaseSteps {
  const kept = new Map(Object.entries(parse(text)));
  return {
    read: (name) => kept.get(name),
    add: (name, json) => void kept.set(name, json),
    isEmpty: () => [...kept.keys()].every((name) => name === GIVEN_BACK),
    text: () => JSON.stringify(Object.fromEntries(kept)),
    givenBackText: () =>
      JSON.stringify({ ...Object.fromEntries(kept), [GIVEN_BACK]: String(attempt) }),
  };
}

/** Whether the attempt before this one ended in order: its handler replied that nothing final came of it. */
export function wasGivenBack(text: string | null, attempt: number): boolean {
  return parse(text)[GIVEN_BACK] === String(attempt - 1);
}

/** Returns the names of the finished steps. */
export function stepNames(text: string | null): string[] {
  return Object.keys(parse(text)).filter((name) => name !== GIVEN_BACK);
}

function parse(text: string | null): Record<string, string> {
  return JSON.parse(text ?? "{}") as Record<string, string>;
}
