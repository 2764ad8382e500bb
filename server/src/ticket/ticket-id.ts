/** The id by which a process distinguishes its tickets. */
import type { Ticket } from "../store/store.ts";

// Neither a scope nor a key contains it.
const END = "\0";

/** Returns scope, target and key as one string, which begins with the scope. */
export function ticketId({ scope, target, key }: Omit<Ticket, "fingerprint">): string {
  return `${scope}${END}${target}${END}${key}`;
}

/** Returns the beginning of the ids of a scope. */
export function scopePrefix(scope: string): string {
  return `${scope}${END}`;
}
