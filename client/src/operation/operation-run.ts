/** The state of a run, from the click to its end. */
import type { EventCallbacks } from "../options/events.ts";
import type { OperationPolicy } from "../options/client-options.ts";
import type { RecordNames } from "../records/record-names.ts";
import type { RecordHandle, RecordStore } from "../records/record-store.ts";
import type { RunOptions, RunResult } from "./result.ts";
import type { LoopParts } from "../retry/loop-state.ts";
import type { Exclusive, Turn } from "../tabs/exclusive.ts";
import type { TabChannel } from "../tabs/tab-channel.ts";
import type { Minter } from "./key-minter.ts";
import type { Settlements } from "./settlements.ts";
import type { OperationStates } from "./state.ts";

/** The parts that all operations of a client share. */
export interface ClientContext {
  readonly loop: LoopParts;
  readonly names: RecordNames;
  readonly records: RecordStore;
  readonly turns: Exclusive<RunResult<unknown>>;
  readonly channel: TabChannel;
  readonly minter: Minter;
  readonly states: OperationStates;
  readonly settlements: Settlements;
  /** Returns the signed-in user. */
  readonly owner: () => string | undefined;
  /** Returns how often the signed-in user was seen to change. */
  readonly ownerChanges: () => number;
  /** The client's own callbacks. */
  readonly listener: EventCallbacks;
}

/** An operation as far as its runs need to know. */
export interface Definition {
  readonly name: string;
  readonly policy: OperationPolicy;
}

/** One instance of an operation, and whose it is. */
export interface OperationInstance {
  readonly client: ClientContext;
  readonly definition: Definition;
  readonly owner: string | undefined;
  readonly instance: string;
  /** Names its record, its lock and its state. */
  readonly id: string;
}

/** A request for a run: by a click, or by a handle of an unresolved record. */
export interface RunRequest extends OperationInstance {
  /** `run`: a click. `resume`: send what is recorded. `check`: look it up, and start nothing. */
  readonly mode: "run" | "resume" | "check";
  readonly identity: string;
  /** The key that a handle is about. */
  readonly key?: string | undefined;
  /** The input of a click, for `onSettled`. */
  readonly input?: unknown;
  /** Makes the key, if the operation does. */
  readonly makeKey?: (() => string) | undefined;
  readonly options: RunOptions;
  /** When it was asked for, by {@link nextMoment}. */
  readonly askedAt: number;
}

/** A request whose turn has come. */
export interface OperationRun extends RunRequest {
  readonly turn: Turn<RunResult<unknown>>;
}

/** The end of a turn. */
export interface Conclusion {
  readonly result: RunResult<unknown>;
  /** Operations that it settled or left unknown, by identity: other waiters for the same identity are notified as well. */
  readonly endings: readonly Ending[];
  /** Removes the record, or keeps its remembered part, after all waiters were notified. */
  readonly release?: (() => Promise<void>) | undefined;
}

export interface Ending {
  readonly identity: string;
  readonly result: RunResult<unknown>;
  /** Whether it had settled before this run: no present waiter waits for it. */
  readonly isReplay?: boolean;
}

let lastMoment = 0;

/** Returns milliseconds since 1970, later each time in all clients of this context: what happens one after the other has an order. */
export function nextMoment(): number {
  lastMoment = Math.max(Date.now(), lastMoment + 1);
  return lastMoment;
}

/** Whether a handle is still at the operation of this key. */
export function isAt(handle: RecordHandle, { key }: { readonly key: string }): boolean {
  return handle.record?.key === key;
}
