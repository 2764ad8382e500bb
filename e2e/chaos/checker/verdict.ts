/** A verdict that a person reads in ten lines. */
import type { Attempt, Case, Violation } from "./case.ts";
import type { Verdict } from "./judge.ts";
import { shortest } from "./shrink.ts";

const MOST_LINES = 10;

export function formatVerdict(verdict: Verdict): string {
  const { violations, tickets, attempts, effects, races, late } = verdict;
  const raced = Object.entries(races).map(([strategy, count]) => `${strategy} ${count}`);
  const head = [
    violations.length === 0
      ? "No violation."
      : `${violations.length} VIOLATIONS: ${byInvariant(violations)}.`,
    `${attempts} attempts at ${tickets} keys, ${effects} effects; races: ${raced.join(", ")}; late without a fault: ${late}.`,
  ];
  if (violations.length === 0) return head.join("\n");
  const worst = shortest(violations);
  const ofTheRun = violations.flatMap((one) => (one.at === undefined ? explain(one) : []));
  return [...head, ...ofTheRun.slice(0, 3), ...(worst === undefined ? [] : explain(worst))]
    .slice(0, MOST_LINES)
    .join("\n");
}

function byInvariant(violations: readonly Violation[]): string {
  const counts = new Map<string, number>();
  for (const { invariant } of violations) counts.set(invariant, (counts.get(invariant) ?? 0) + 1);
  return [...counts]
    .toSorted(([a], [b]) => a.localeCompare(b, "en", { numeric: true }))
    .map(([invariant, count]) => `${invariant} × ${count}`)
    .join(", ");
}

function explain({ invariant, message, at }: Violation): string[] {
  const line = `${invariant}: ${message}`;
  if (at === undefined) return [line];
  return [
    line,
    `  key ${at.key} of ${at.scope} on ${at.target} (${at.policy.strategy})`,
    ...at.attempts.map((attempt) => showAttempt(attempt)),
    `  effects: ${showEffects(at)}; record: ${at.record?.status ?? (at.record ? "unfinished" : "none")}`,
  ];
}

function showAttempt({ invoke, ending }: Attempt): string {
  const span = `${Math.round(invoke.atMs)}–${ending === undefined ? "" : Math.round(ending.atMs)} ms`;
  const who = `  ${span} attempt ${invoke.attempt} by ${invoke.process} to ${invoke.server}, request ${invoke.fingerprint}:`;
  switch (ending?.kind) {
    case undefined:
      return `${who} no end`;
    case "ok":
      return `${who} ${ending.status}${ending.isReplayed ? " replayed" : ""}${ending.isMismatch ? " mismatch" : ""} ${ending.body.slice(0, 60)}`;
    case "fail":
      return `${who} ${ending.status} ${ending.code ?? ""}`;
    case "info":
      return `${who} ${ending.status ?? "?"} ${ending.reason}`;
    default:
      return ending satisfies never;
  }
}

function showEffects({ effects }: Case): string {
  if (effects.length === 0) return "none";
  return effects.map(({ id, fingerprint }) => `${id} of request ${fingerprint}`).join(", ");
}
