/** One part of the run: a kind of replication, a kind of strike, and what became of all answers meanwhile. */
import type { Verdict } from "../checker/judge.ts";
import { createHistory } from "../history/history.ts";
import type { History } from "../history/history.ts";
import { judgeRun } from "../rig/judge-run.ts";
import type { RunEvidence } from "../rig/judge-run.ts";
import type { Cluster } from "./cluster.ts";
import { dump } from "./evidence.ts";
import { awaitWhole, setReplication } from "./members.ts";
import type { Replication } from "./members.ts";
import { policyOf, STRATEGIES } from "./routes.ts";
import { startServers } from "./servers.ts";
import type { Servers } from "./servers.ts";
import { strike } from "./strike.ts";
import type { Strike } from "./strike.ts";
import { startWorkload } from "./workload.ts";

export interface Phase {
  readonly title: string;
  readonly replication: Replication;
  readonly strike: Strike;
  readonly strikes: number;
}

export interface PhaseResult {
  readonly phase: Phase;
  /** For each strike that there was, the longest time in milliseconds in which nobody was answered. */
  readonly outagesMs: readonly number[];
  readonly verdict: Verdict;
  /** All that the verdict is about. */
  readonly evidence: RunEvidence;
}

export interface PhaseParts {
  readonly cluster: Cluster;
  /** Stops the run before its next strike. */
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/** With how many servers it is done. */
const SERVERS = 3;

export async function runPhase(phase: Phase, parts: PhaseParts): Promise<PhaseResult> {
  const { cluster, say } = parts;
  const history = createHistory();
  await setReplication(cluster, phase.replication);
  const [outagesMs, ended] = await withServers(cluster, async (servers) => {
    const workload = startWorkload(servers.origins, phase.title, history);
    const outages = await strikeAll(phase, parts, history, workload.answeredAt);
    await workload.finish();
    say(`${phase.title}: ${workload.answeredAt.length} answers; every key is sent once more`);
    // Servers that were started after the strikes hold nothing in memory that could stand in for a record.
    await withServers(cluster, ({ origins }) => workload.repeat(origins));
    return [outages, servers.ended()];
  });
  const dumped = await dump(cluster.url, phase.title);
  const evidence: RunEvidence = {
    events: history.events,
    rows: dumped.rows,
    leftovers: [...dumped.leftovers, { where: "servers", found: { "ended by themselves": ended } }],
    policyOf,
    raced: STRATEGIES,
    isComplete: true,
    unasked: [],
  };
  return { phase, outagesMs, verdict: judgeRun(evidence), evidence };
}

async function strikeAll(
  phase: Phase,
  { cluster, signal, say }: PhaseParts,
  history: History,
  answeredAt: readonly number[],
): Promise<number[]> {
  const outagesMs: number[] = [];
  while (outagesMs.length < phase.strikes && !signal.aborted) {
    await moreAnswers(answeredAt);
    const since = answeredAt.length - 1;
    const fault = `${phase.strike} ${outagesMs.length + 1}`;
    history.add({ kind: "fault", phase: "begin", fault });
    const next = await strike(cluster, phase.strike, () => answeredAt.length);
    await moreAnswers(answeredAt);
    const outageMs = longestGapMs(answeredAt.slice(since));
    await awaitWhole(cluster, phase.replication);
    history.add({ kind: "fault", phase: "end", fault });
    outagesMs.push(outageMs);
    const count = `${outagesMs.length} of ${phase.strikes}`;
    say(
      `${phase.title} ${count}: ${next.name} leads, ${Math.round(outageMs)} ms without an answer`,
    );
  }
  return outagesMs;
}

/** So many answers before and after each strike show that clients are served. */
const SERVED = 50;
const POLL_MS = 50;

async function moreAnswers(answeredAt: readonly number[]): Promise<void> {
  const enough = answeredAt.length + SERVED;
  while (answeredAt.length < enough) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

function longestGapMs(instants: readonly number[]): number {
  const gaps = instants.slice(1).map((instant, at) => instant - (instants[at] ?? instant));
  return Math.max(0, ...gaps);
}

async function withServers<Result>(
  { url }: Cluster,
  use: (servers: Servers) => Promise<Result>,
): Promise<Result> {
  const servers = await startServers(SERVERS, url);
  try {
    return await use(servers);
  } finally {
    await servers.stop();
  }
}
