/**
 * One part of the run: a kind of replication, a kind of strike, and the fate of all answers during
 * it.
 */
import { until } from "@oncekey/test-support/processes/deadline";
import type { Verdict } from "../checker/judge.ts";
import { Pool } from "pg";
import { startServers } from "../../shop/servers.ts";
import type { Servers } from "../../shop/servers.ts";
import { STRATEGIES } from "../../shop/strategy-shop.ts";
import { dump, heldInDatabase } from "../fleet/tables.ts";
import { createHistory } from "../history/history.ts";
import type { History } from "../history/history.ts";
import { judgeRun } from "../one-run/judge-run.ts";
import type { RunEvidence } from "../one-run/judge-run.ts";
import type { Cluster } from "./cluster.ts";
import { awaitWhole, setReplication } from "./members.ts";
import type { Replication } from "./members.ts";
import { policyOf } from "./routes.ts";
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
  /**
   * For each strike that there was, the longest time in milliseconds in which no client was
   * answered.
   */
  readonly outagesMs: readonly number[];
  /** Reason for which the strikes ended early, unless the run was interrupted. */
  readonly brokeOff: string | undefined;
  readonly verdict: Verdict;
  /** All that the verdict is about. */
  readonly evidence: RunEvidence;
}

export interface PhaseParts {
  readonly cluster: Cluster;
  /** Stops the run before its next strike; keys are not asked for any more. */
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

const SERVERS = ["server 1", "server 2", "server 3"];

export async function runPhase(phase: Phase, parts: PhaseParts): Promise<PhaseResult> {
  const { cluster, signal, say } = parts;
  const history = createHistory();
  await setReplication(cluster, phase.replication);
  const [struck, unasked, ended] = await withServers(cluster, async (servers) => {
    const workload = startWorkload(servers.origins, `${phase.title}-0`, history);
    const strikes = await strikeAll(phase, parts, history, workload.answeredAt);
    await workload.finish(AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]));
    say(`${phase.title}: ${workload.answeredAt.length} answers; every key is sent once more`);
    // Servers that were started after the strikes hold nothing in memory that could stand in for a record.
    const enough = AbortSignal.any([signal, AbortSignal.timeout(REPEAT_MS)]);
    const left = await withServers(cluster, ({ origins }) => workload.repeat(origins, enough));
    return [strikes, left, servers.ended()];
  });
  const isCut = signal.aborted;
  const found = await readDatabase(cluster, phase.title);
  const servers = { where: "servers", found: { "ended by themselves": ended } };
  const evidence: RunEvidence = {
    events: history.events,
    rows: found.rows,
    // Requests under way are still held when a run is cut off.
    leftovers: isCut ? [servers] : [{ where: "the leader", found: found.held }, servers],
    policyOf,
    raced: STRATEGIES,
    isComplete: !isCut,
    unasked,
  };
  return { phase, ...struck, verdict: judgeRun(evidence), evidence };
}

/** Reads all rows of a phase, and what is still held, while no server works on them. */
async function readDatabase({ url }: Cluster, scopes: string) {
  const pool = new Pool({ connectionString: url, max: 1 });
  try {
    return { rows: await dump(pool, scopes), held: await heldInDatabase(pool) };
  } finally {
    await pool.end();
  }
}

async function strikeAll(
  phase: Phase,
  { cluster, signal, say }: PhaseParts,
  history: History,
  answeredAt: readonly number[],
): Promise<Pick<PhaseResult, "outagesMs" | "brokeOff">> {
  const outagesMs: number[] = [];
  const strikeOnce = async (): Promise<void> => {
    await moreAnswers(answeredAt, signal);
    const since = answeredAt.length - 1;
    const fault = `${phase.strike} ${outagesMs.length + 1}`;
    history.add({ kind: "fault", phase: "begin", fault });
    const next = await strike(cluster, phase.strike, () => answeredAt.length);
    await moreAnswers(answeredAt, signal);
    const outageMs = longestGapMs(answeredAt.slice(since));
    await awaitWhole(cluster, phase.replication);
    history.add({ kind: "fault", phase: "end", fault });
    outagesMs.push(outageMs);
    const count = `${outagesMs.length} of ${phase.strikes}`;
    say(
      `${phase.title} ${count}: ${next.name} leads, ${Math.round(outageMs)} ms without an answer`,
    );
  };
  try {
    while (outagesMs.length < phase.strikes && !signal.aborted) await strikeOnce();
  } catch (error) {
    // Ignored after an interruption; otherwise reported with the results until then.
    if (!signal.aborted) return { outagesMs, brokeOff: String(error) };
  }
  return { outagesMs, brokeOff: undefined };
}

/** So many answers before and after each strike show that clients are served. */
const SERVED = 50;
const PATIENCE_MS = 120_000;
const REPEAT_MS = 300_000;

/** @throws Error if they do not come, or the signal does. */
async function moreAnswers(answeredAt: readonly number[], signal: AbortSignal): Promise<void> {
  const enough = answeredAt.length + SERVED;
  await until(
    () => {
      signal.throwIfAborted();
      return answeredAt.length >= enough;
    },
    {
      what: () => `${enough - answeredAt.length} of ${SERVED} answers`,
      patienceMs: PATIENCE_MS,
    },
  );
}

function longestGapMs(instants: readonly number[]): number {
  const gaps = instants.slice(1).map((instant, at) => instant - (instants[at] ?? instant));
  return Math.max(0, ...gaps);
}

async function withServers<Result>(
  { url }: Cluster,
  use: (servers: Servers) => Promise<Result>,
): Promise<Result> {
  const servers = await startServers(SERVERS, url, {
    script: new URL("server.ts", import.meta.url),
    // The parent decides when its servers end.
    detached: true,
  });
  try {
    return await use(servers);
  } finally {
    await servers.stop();
  }
}
