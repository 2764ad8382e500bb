/** Faults of one request, and the header by which a request asks for one. */

/**
 * `kill-server` strikes once the payment is committed, or `afterMs` milliseconds after the server got the request. `sign-in`
 * redirects to a page, as if the session had ended, and the request reaches no server.
 */
export type Fault =
  | { readonly kind: "drop-reply" | "cut-body" | "delay" | "answer-503" | "sign-in" }
  | { readonly kind: "kill-server"; readonly afterMs?: number };

export type FaultKind = Fault["kind"];

/** Faults of the network and the servers: the demo offers them, and the rig draws from them. */
export type CommonFault = Exclude<FaultKind, "sign-in">;

/** Request header that asks for a fault: its kind, and for `kill-server` perhaps a number of milliseconds. */
export const FAULT_HEADER = "demo-fault";

/** Response header: which of the servers answered. */
export const SERVER_HEADER = "demo-server";

/** The common kinds, in the order in which faults strike when several are asked for. */
export const FAULT_KINDS: readonly CommonFault[] = Object.freeze([
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
  if (name === "sign-in") return { kind: name };
  const kind = FAULT_KINDS.find((known) => known === name);
  if (kind !== "kill-server" || afterMs === undefined) return kind && { kind };
  return { kind, afterMs: Number(afterMs) };
}
