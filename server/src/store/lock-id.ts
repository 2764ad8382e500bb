/** Id of the advisory lock of a ticket. */
import { hash } from "node:crypto";
import type { Ticket } from "./store.ts";

/**
 * Returns the id of the ticket's advisory lock: the first 8 bytes of SHA-256 over product, schema,
 * scope, target and key. Each is prefixed with its length, so no two tickets share an encoding. A
 * decimal string, because a JavaScript number loses bits.
 *
 * 64 bits of a cryptographic digest: a collision costs a false wait, never a wrong replay, and no
 * tenant can construct one.
 */
export function lockId(schema: string, ticket: Ticket): string {
  return digest(["oncekey", schema, ticket.scope, ticket.target, ticket.key]);
}

/** The advisory lock of a task that one process at a time is to do. */
export function purposeLockId(schema: string, purpose: string): string {
  return digest(["oncekey", schema, purpose]);
}

function digest(parts: readonly string[]): string {
  let text = "";
  for (const part of parts) text += `${Buffer.byteLength(part)}:${part}`;
  // One call of the hash, and its digest as text, which Node makes faster than a buffer.
  const first = hash("sha256", text, "hex").slice(0, 16);
  return BigInt.asIntN(64, BigInt(`0x${first}`)).toString();
}
