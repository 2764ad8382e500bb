/** What can go wrong with one request, and how a request asks for it. */

/** `kill-server` strikes once the payment is committed, or `afterMs` milliseconds after the server got the request. */
export type Fault =
  | { readonly kind: "drop-reply" | "cut-body" | "delay" | "answer-503" }
  | { readonly kind: "kill-server"; readonly afterMs?: number };

export type FaultKind = Fault["kind"];

/** Request header that asks for a fault: its kind, and for `kill-server` perhaps a number of milliseconds. */
export const FAULT_HEADER = "demo-fault";

/** Response header: which of the servers answered. */
export const SERVER_HEADER = "demo-server";

/** Every kind, in the order in which faults strike when several are asked for. */
export const FAULT_KINDS: readonly FaultKind[] = Object.freeze([
  "drop-reply",
  "cut-body",
  "delay",
  "answer-503",
  "kill-server",
]);

export function formatFault(fault: Fault): string {
  return fault.kind === "kill-server" && fault.afterMs !== undefined
    ? `${fault.kind} ${fault.afterMs}`
    : fault.kind;
}

/** Anything that asks for no known fault is none. */
export function parseFault(value: string | undefined): Fault | undefined {
  const [name, afterMs] = (value ?? "").split(" ");
  const kind = FAULT_KINDS.find((known) => known === name);
  if (kind !== "kill-server" || afterMs === undefined) return kind && { kind };
  return { kind, afterMs: Number(afterMs) };
}
