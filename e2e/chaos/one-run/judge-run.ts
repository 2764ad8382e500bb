/** Judges a run in which time may not have sufficed to repeat every key. */
import { judge } from "../checker/judge.ts";
import type { Evidence, Verdict } from "../checker/judge.ts";
import { checkSettled } from "../checker/settling.ts";

interface Ticket {
  readonly scope: string;
  readonly key: string;
  readonly target: string;
}

export interface RunEvidence extends Evidence {
  /** Keys that were not repeated until their answer was final or their own time was up. */
  readonly unasked: readonly Ticket[];
}

/** Ignores I7 violations of keys that were not repeated. */
export function judgeRun(evidence: RunEvidence): Verdict {
  const verdict = judge(evidence);
  const unasked = new Set(evidence.unasked.map(nameOf));
  const violations = verdict.violations.filter(({ message, at }) => {
    if (at === undefined || !unasked.has(nameOf(at))) return true;
    return !checkSettled(at).some((unsettled) => unsettled.message === message);
  });
  return { ...verdict, violations };
}

function nameOf({ scope, key, target }: Ticket): string {
  return JSON.stringify([scope, key, target]);
}
