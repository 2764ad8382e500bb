/** Runs an operation in its turn, and announces its end before its record is released. */
import { IDLE } from "./state.ts";
import type { OperationState } from "./state.ts";
import type { Conclusion, OperationRun, RunRequest } from "./operation-run.ts";
import type { RunResult } from "./result.ts";
import { announce } from "./tab-message.ts";

/**
 * Runs `start` once no other run of the instance is under way, here or in another tab. A done result is announced before its
 * record is released: a page that dies in between finds the record, and no second key is made. `start` releases a rejected one.
 */
export function runExclusive(
  request: RunRequest,
  start: (run: OperationRun) => Promise<Conclusion>,
): Promise<RunResult<unknown>> {
  const { client, definition, id, key, mode, identity, options } = request;
  const { turns, states } = client;
  const lane = mode === "check" ? `check ${identity}` : identity;
  const ask = {
    id,
    // A run with `again` joins only runs with `again`.
    identity: options.again ? `again ${identity}` : lane,
    signal: options.signal,
    waitMs: definition.policy.deadlineMs,
  };
  const setState = (state: OperationState<unknown>): void => states.set(id, identity, state);
  return turns.run(ask, async (turn) => {
    const run = { ...request, turn };
    setState(key === undefined ? { kind: "sending", key } : { kind: "checking", key });
    try {
      const { result, endings, release } = await start(run);
      tellAll(run, endings);
      setState(stateOf(result));
      if (release === undefined) return result;
      turn.resolve(result);
      await release();
      return result;
    } catch (error) {
      setState(IDLE);
      throw error;
    }
  });
}

function tellAll(run: OperationRun, endings: Conclusion["endings"]): void {
  const { client, definition, instance, id, turn, input, identity: own } = run;
  for (const { identity, result, isReplay = false } of endings) {
    if (!isReplay) announce(run, identity, result);
    if (result.kind === "unknown" || isStopped(run, result)) continue;
    if (identity !== own) client.states.set(id, identity, stateOf(result));
    if (!isReplay) turn.resolveQueued(identity, result);
    const about = { instance, ...(identity === own && run.mode === "run" ? { input } : {}) };
    client.settlements.report({ operation: definition.name, about, result });
  }
}

// Runs that wait for the same operation go on, and nothing has settled.
function isStopped({ turn }: OperationRun, result: RunResult<unknown>): boolean {
  return result.kind === "rejected" && turn.signal.aborted && result.error.status === undefined;
}

function stateOf(result: RunResult<unknown>): OperationState<unknown> {
  return result.kind === "unknown" ? { kind: "unknown", result } : { kind: "settled", result };
}
