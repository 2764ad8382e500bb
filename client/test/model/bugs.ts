/** Planted bugs, each in the place of one function of the client. */
import type { Settlements } from "../../src/operation/settlements.ts";
import type { Conclusion, OperationRun, RunRequest } from "../../src/operation/operation-run.ts";
import type { RecordNames } from "../../src/records/record-names.ts";
import type { RunResult } from "../../src/operation/result.ts";
import type { Again } from "../../src/retry/again.ts";
import type { LoopEnd } from "../../src/retry/loop-result.ts";
import type { Loop } from "../../src/retry/loop-state.ts";
import type { Answer } from "../../src/wire/answer.ts";

type Classify = (answer: Answer, loop: Loop) => LoopEnd | Again;

/** Takes every 409 without a code of the contract as final, so that the next run mints. */
export function rotateOnUnknown409(classify: Classify): Classify {
  return (answer, loop) => {
    const judged = classify(answer, loop);
    const error = "error" in judged ? judged.error : undefined;
    const cause = "cause" in judged ? judged.cause : error;
    const isKnown = cause?.code?.startsWith("idempotency_") === true;
    if (answer.status !== 409 || isKnown || cause === undefined) return judged;
    return { kind: "rejected", error: cause };
  };
}

/** Judges every answer as if no earlier attempt had been sent. */
export function trustEveryRefusal(classify: Classify): Classify {
  return (answer, loop) => classify(answer, { ...loop, isUnresolved: false });
}

/** Names the records of all owners alike. */
export function ignoreOwner(names: RecordNames): RecordNames {
  return {
    prefix: () => names.prefix(),
    prefixOf: () => names.prefixOf(undefined),
    nameOf: (_owner, operation, instance) => names.nameOf(undefined, operation, instance),
  };
}

/** Calls `onSettled` again for a key that it was called for. */
export function forgetReports(settlements: Settlements): Settlements {
  return {
    ...settlements,
    report(settlement) {
      settlements.clear();
      settlements.report(settlement);
    },
  };
}

type RunExclusive = (
  request: RunRequest,
  start: (run: OperationRun) => Promise<Conclusion>,
) => Promise<RunResult<unknown>>;

/** Settles an earlier operation, and then places the new order in the same run. */
export function placeTwoOrders(runExclusive: RunExclusive): RunExclusive {
  return (request, start) =>
    runExclusive(request, async (run) => {
      const conclusion = await start(run);
      const { result, release } = conclusion;
      if (result.kind !== "rejected" || result.earlierResult === undefined) return conclusion;
      await release?.();
      const next = await start(run);
      const earlier = conclusion.endings.filter((ending) => ending.result !== result);
      return { ...next, endings: [...earlier, ...next.endings] };
    });
}
