/** I9: duplicates that really met a running request, on another server. A history without any proves nothing about races. */
import type { Case, Policy, Violation } from "./case.ts";

export type Races = Readonly<Record<Policy["strategy"], number>>;

/** Tickets of which a second attempt was under way while the one that ran was, by strategy. */
export function countRaces(cases: readonly Case[]): Races {
  const counts = { advisory: 0, unique: 0, row: 0, lease: 0 };
  for (const one of cases) if (isRace(one)) counts[one.policy.strategy] += 1;
  return counts;
}

// The duplicate was sent before the runner's answer came, and answered after the runner was sent; and by another server, so that
// only the database stood between them.
function isRace({ attempts }: Case): boolean {
  const runner = attempts.find(({ ending }) => ending?.kind === "ok" && !ending.isReplayed);
  if (runner?.ending === undefined) return false;
  const { invoke, ending } = runner;
  return attempts.some(
    (other) =>
      other.invoke.server !== invoke.server &&
      ![invoke.server, other.invoke.server].includes("proxy") &&
      other.ending !== undefined &&
      other.ending.kind !== "info" &&
      other.invoke.atMs < ending.atMs &&
      other.ending.atMs > invoke.atMs,
  );
}

/** @param strategies those that the run was to race. */
export function checkRaces(races: Races, strategies: readonly Policy["strategy"][]): Violation[] {
  return strategies
    .filter((strategy) => races[strategy] === 0)
    .map((strategy) => ({
      invariant: "I9",
      message: `no duplicate met a running request of strategy ${strategy}`,
      at: undefined,
    }));
}
