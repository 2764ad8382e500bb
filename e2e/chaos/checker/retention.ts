/** I10: what is over is not replayed, whether its retention ended or it was deleted on purpose. */
import { readAnswer } from "./case.ts";
import type { Instant } from "../history/event.ts";
import type { Answer, Case, Violation } from "./case.ts";

// One process keeps what it read from the database: the way from there is not counted.
const SLACK_MS = 1_000;

/** I10: a replay belongs to a run whose record could still stand when it was asked for. */
export function checkRetention(one: Case): Violation[] {
  const firstSeen = new Map<string, number>();
  for (const { ending } of one.attempts) {
    if (ending?.kind !== "ok") continue;
    const run = readAnswer(ending.body)?.answer;
    if (run !== undefined && !ending.isReplayed) firstSeen.set(run, ending.atMs);
  }
  return one.attempts.flatMap(({ invoke, ending }): Violation[] => {
    if (ending?.kind !== "ok" || !ending.isReplayed) return [];
    // A refusal names no run: after its retention the next one looks the same.
    const run = readAnswer(ending.body);
    if (run === undefined) return [];
    const madeAt = firstSeen.get(run.answer) ?? effectAt(one, run, invoke);
    if (madeAt === undefined) return [];
    const ageMs = invoke.atMs - madeAt;
    if (ageMs > one.policy.retentionMs + SLACK_MS) {
      const message = `attempt ${invoke.attempt} was replayed ${Math.round(ageMs)} ms after its record was made`;
      return [{ invariant: "I10", message, at: one }];
    }
    const gone = one.forgets.find(
      ({ phase, atMs, server }) =>
        phase === "done" && madeAt < atMs && invoke.atMs > atMs && server === invoke.server,
    );
    if (gone === undefined) return [];
    const message = `attempt ${invoke.attempt} was replayed by ${gone.server}, which had deleted the record`;
    return [{ invariant: "I10", message, at: one }];
  });
}

// Used if no client saw the first answer: the effect's instant, converted to the clock of this
// history. A fault may delay the record after its effect.
function effectAt(
  { effects, isStruck }: Case,
  { effect }: Answer,
  by: Instant,
): number | undefined {
  const made = isStruck ? undefined : effects.find(({ id }) => id === effect);
  return made && made.wallAt - (by.wallAt - by.atMs);
}
