/** Compares a run with its plan: a run with too few faults shows nothing. */
import { COMMIT_FAULTS } from "./fleet/database-proxy.ts";
import type { RunReport } from "./one-run/run.ts";
import type { Plan } from "./one-run/settings.ts";

const ENOUGH = 0.5;

/**
 * Returns, as text, the faults that happened less than half as often as planned. Empty: the run is
 * conclusive.
 */
export function findShort(
  report: Pick<RunReport, "operations" | "dealt" | "caused" | "plannedStrikes">,
  { operations, disturbances }: Pick<Plan, "operations" | "disturbances">,
): string[] {
  const { dealt, caused, plannedStrikes } = report;
  const commits = COMMIT_FAULTS.map((fault) => caused[fault] ?? 0);
  const parts = [
    { what: "operations", found: report.operations, planned: operations },
    { what: "strikes", found: sum(Object.values(dealt)), planned: plannedStrikes },
    {
      what: "broken COMMITs",
      found: sum(commits),
      planned: disturbances.commitFaults * COMMIT_FAULTS.length,
    },
  ];
  return parts
    .filter(({ found, planned }) => found < planned * ENOUGH)
    .map(({ what, found, planned }) => `${found} of ${planned} ${what}`);
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
