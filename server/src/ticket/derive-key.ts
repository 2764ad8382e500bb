/** Derives keys for other services' APIs from a ticket. */
import { v5 } from "uuid";
import type { Ticket } from "../store/store.ts";

// A namespace of our own (RFC 9562 §6.6): a random UUID, fixed for ever.
const NAMESPACE = "5d1c0f36-1f0d-4f4b-9a53-7e3b0f2f6b51";

/** A ticket without its fingerprint. */
export type TicketId = Omit<Ticket, "fingerprint">;

/**
 * Derives a key for a request to another service's API from the record and a name: the same on
 * every attempt, and different for each record. UUIDv5 (RFC 9562 §5.5).
 */
export function deriveKey({ scope, target, key }: TicketId, name: string): string {
  return v5(name, v5(JSON.stringify([scope, target, key]), NAMESPACE));
}
