/** The turn of a run: in this tab, among the tabs, and what is told at its end, before anything is forgotten. */
import type { Coalescer } from "../tabs/dedupe.ts";
import type { EventCallbacks } from "../options/events.ts";
import type { Wanted } from "../tabs/tab-message.ts";
import { letGo } from "./release-record.ts";
import type { LoopParts } from "../retry/loop-state.ts";
import type { Minter } from "./key-minter.ts";
import type { RetryPolicy } from "../options/client-options.ts";
import { IDLE } from "./state.ts";
import type { OperationState, Progress } from "./state.ts";
import type { OperationRecord, Shelf } from "../records/record-store.ts";
import type { RunOptions, RunResult } from "../result.ts";
import type { Tabs, Turn } from "../tabs/tab-lock.ts";

/** What an operation needs from the client. */
export interface OperationParts {
  readonly loop: LoopParts;
  readonly shelf: Shelf;
  /** What makes it the same operation, in the form in which it is kept. */
  readonly identify: (identity: string) => string;
  readonly live: Coalescer<RunResult<unknown>>;
  readonly tabs: Tabs;
  readonly minter: Minter;
  readonly progress: Progress;
  /** The client's own callbacks. */
  readonly listener: EventCallbacks;
}

/** How a turn ended. */
export interface Conclusion {
  readonly result: RunResult<unknown>;
  /** What is settled by it. */
  readonly record?: OperationRecord | undefined;
  /** Of what was sent: who waits in this context to do the same is told as well, once it is settled. */
  readonly identity?: string | undefined;
}

/**
 * Runs `start` in its turn. What is done is told before its record is let go of: a page that dies in between finds it once more, and
 * no key is made for what nobody was told of. What is rejected is let go of first: nobody may find, and send, it once more.
 */
export function takeTurn(
  parts: OperationParts,
  id: string,
  { identity, key, isLook }: Wanted,
  { deadlineMs: waitMs }: RetryPolicy,
  { signal }: RunOptions,
  start: (turn: Turn) => Promise<Conclusion>,
): Promise<RunResult<unknown>> {
  const { live, tabs, progress } = parts;
  // As in another tab: nobody who wants it done waits here for a mere look, or is given what it has not found.
  const lane = isLook ? `look ${id}` : id;
  return live.run(lane, identity, async () => {
    progress.set(id, key === undefined ? { kind: "sending", key } : { kind: "checking", key });
    try {
      return await tabs.take(id, { signal, waitMs }, async (turn) => {
        const { result, record, identity: sent } = await start(turn);
        const isDone = result.kind === "done";
        const clear = async (): Promise<RunResult<unknown>> => {
          if (record) await letGo(parts, record, tabs.nowAt());
          return result;
        };
        if (!isLook || !live.isLive(id)) progress.set(id, stateOf(result));
        if (record && sent !== undefined) live.tell(id, result, sent);
        if (!isDone) return result;
        live.tell(lane, result);
        // A run that begins now waits for it; one that has begun may be waiting for this turn to end.
        return live.isLive(id) ? clear() : live.run(id, "", clear);
      });
    } catch (error) {
      progress.set(id, IDLE);
      throw error;
    }
  });
}

function stateOf(result: RunResult<unknown>): OperationState<unknown> {
  return result.kind === "unknown" ? { kind: "unknown", result } : { kind: "settled", result };
}
