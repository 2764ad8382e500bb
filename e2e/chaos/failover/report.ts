/** Report of a run, for a terminal and for the page about it. */
import type { Violation } from "../checker/case.ts";
import { LEADER_LEASE_SECONDS } from "./cluster-files.ts";
import type { PhaseResult } from "./phase.ts";

/** Machine and time of the run. */
export interface Circumstances {
  readonly date: string;
  readonly commit: string;
  readonly programs: string;
}

/** Synchronous: no promise is broken. Asynchronous: answers are lost, or the checker is blind; but nothing is done twice. */
export function isAsPromised(result: PhaseResult): boolean {
  const { phase, outagesMs, evidence } = result;
  const isWhole = outagesMs.length === phase.strikes && evidence.unasked.length === 0;
  return isWhole && !isBroken(result);
}

/** A control that ended before its last strike has only not lost anything yet. */
export function isBroken({ phase, outagesMs, verdict }: PhaseResult): boolean {
  if (phase.replication === "synchronous") return verdict.violations.length > 0;
  const { lost, doubled } = countBroken(verdict.violations);
  return doubled > 0 || (lost === 0 && outagesMs.length === phase.strikes);
}

/** Keys by the promise that was broken to them. */
export interface Broken {
  /** I2: an answer reports an effect that is gone. */
  readonly lost: number;
  /** I1: more than one effect. */
  readonly doubled: number;
  /** I3: answered in two ways. */
  readonly divergent: number;
  /** Violations of all others. */
  readonly others: number;
}

export function countBroken(violations: readonly Violation[]): Broken {
  const keysOf = (name: string): number =>
    new Set(violations.filter(({ invariant }) => invariant === name).map(({ at }) => at?.key)).size;
  const others = violations.filter(({ invariant }) => !["I1", "I2", "I3"].includes(invariant));
  return {
    lost: keysOf("I2"),
    doubled: keysOf("I1"),
    divergent: keysOf("I3"),
    others: others.length,
  };
}

/** A Markdown page. Only whole runs that were as promised are worth one. */
export function formatPage(results: readonly PhaseResult[], where: Circumstances): string {
  return `# Failover, measured

Made by \`npx -y pnpm@12 test:faults --failover\` on ${where.date} at ${where.commit}, with
${where.programs}: three PostgreSQL servers under Patroni, HAProxy before
them, three Fastify servers with all four strategies, and clients that send each key one to three times at once and ask until it is
answered. After the strikes every key was sent again, to
servers that had just been started, and the whole history was judged together with what the database held.

${formatTable(results)}

*Lost*: a client got the answer of an effect that is gone. *Doubled*: a key has two effects. *Two answers*: a key was answered in two ways.
*Outage*: the longest time around one strike in which no client was answered, as median and maximum; the leader's lease is shortened to
${LEADER_LEASE_SECONDS} s here (Patroni's default is 30 s), and a killed leader is missed for about that long.

Synchronous replication (\`synchronous_mode\` and \`synchronous_mode_strict\`) loses nothing, whether the leader is killed or hands over.
The last row is the control: with asynchronous replication, a leader that dies ahead of its standbys takes acknowledged
answers with it, record and effect together, and a retry runs again. It has to be there: it shows that the checker sees a loss.
`;
}

export function formatTable(results: readonly PhaseResult[]): string {
  const head = ["", "strikes", "keys", "attempts", "lost", "doubled", "two answers", "outage"];
  const rows = results.map(({ phase, outagesMs, verdict }) => {
    const { lost, doubled, divergent } = countBroken(verdict.violations);
    const figures = [outagesMs.length, verdict.tickets, verdict.attempts, lost, doubled, divergent];
    return [phase.title, ...figures.map(String), formatOutages(outagesMs)];
  });
  const lines = [head, head.map((_, at) => (at === 0 ? "---" : "---:")), ...rows];
  return lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

function formatOutages(outagesMs: readonly number[]): string {
  const sorted = outagesMs.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)];
  const longest = sorted.at(-1);
  if (median === undefined || longest === undefined) return "none";
  return `${seconds(median)}, ${seconds(longest)}`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
