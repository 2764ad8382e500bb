/** The id by which a process distinguishes its tickets. */
import type { Ticket } from "../store/store.ts";

/** Returns scope, target and key as one string, which begins with the scope. */
export function ticketId({ scope, target, key }: Omit<Ticket, "fingerprint">): string {
  return JSON.stringify([scope, target, key]);
}

/** Returns the beginning of the ids of a scope. */
export function scopePrefix(scope: string): string {
  return `${JSON.stringify([scope]).slice(0, -1)},`;
}
