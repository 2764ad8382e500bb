/**
 * In a server of the rig: stops the whole process at the requested boundary, and reports it before.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Boundary, Trap } from "../protocol/boundaries.ts";
import { reportLine } from "../protocol/report-line.ts";

/** The request for which the running code works. */
export interface Passage {
  readonly strategy: string;
  /** `handled`: its handler has answered, and what follows stores and sends that. */
  phase: "asked" | "handled";
}

export const passage: AsyncLocalStorage<Passage> = new AsyncLocalStorage<Passage>();

let trap: Trap | undefined;

export function setTrap(next: Trap | undefined): void {
  trap = next;
}

/** Whether the next call of {@link reach} with this boundary stops the process. */
export function isTrapped(boundary: Boundary): boolean {
  return trap?.boundary === boundary && trap.strategy === passage.getStore()?.strategy;
}

/**
 * Stops this process if the trap is set to this boundary. The process then does nothing at all, as
 * if stopped or killed from outside at this very instruction. Both writes are system calls that
 * have an effect before they return.
 */
export function reach(boundary: Boundary): void {
  if (!isTrapped(boundary)) return;
  const reached = trap;
  trap = undefined;
  if (reached !== undefined) reportLine({ kind: "caught", trap: reached });
  process.kill(process.pid, "SIGSTOP");
}
