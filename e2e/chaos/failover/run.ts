/** The failover run: kills and hand-overs of a replicated PostgreSQL's leader under load, and the control that must lose. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { migrate } from "@oncekey/server";
import { Pool } from "pg";
import { EFFECTS } from "../../shop/effects.ts";
import { formatVerdict } from "../checker/verdict.ts";
import { writeHistory } from "../one-run/keep.ts";
import { INCOMPLETE, listenForEnd } from "../interruption.ts";
import { describeCommit, PAGES, writePage } from "@oncekey/test-support/reporting/page";
import { startCluster } from "./cluster.ts";
import type { Cluster } from "./cluster.ts";
import { describeMachine, findMachine } from "./machine.ts";
import type { Machine } from "./machine.ts";
import { awaitLeader, awaitWhole } from "./members.ts";
import { runPhase } from "./phase.ts";
import type { Phase, PhaseParts, PhaseResult } from "./phase.ts";
import { formatPage, formatTable, isAsPromised, isBroken } from "./report.ts";

const startedAt = performance.now();
const interrupted = listenForEnd();
const commit = describeCommit();

process.exitCode = await main();

async function main(): Promise<number> {
  const { rounds, pages } = readWords();
  const fitness = await findMachine();
  if (fitness.kind === "unfit") {
    console.error(`This machine cannot run the failover test: ${fitness.reason}`);
    return INCOMPLETE;
  }
  const { machine } = fitness;
  const cluster = await startCluster(machine);
  try {
    return await runOn(cluster, machine, { rounds, pages });
  } catch (error) {
    console.error(await cluster.said());
    throw error;
  } finally {
    await cluster.stop();
  }
}

interface Words {
  readonly rounds: number;
  readonly pages: string;
}

function readWords(): Words {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "10" },
      pages: { type: "string", default: PAGES },
    },
  });
  const rounds = Number(values.rounds);
  if (Number.isInteger(rounds) && rounds >= 1) return { rounds, pages: values.pages };
  throw new RangeError(`--rounds must be a whole number from 1, got ${values.rounds}`);
}

async function runOn(
  cluster: Cluster,
  machine: Machine,
  { rounds, pages }: Words,
): Promise<number> {
  const where = {
    date: new Date().toISOString().slice(0, 10),
    commit,
    programs: await describeMachine(machine),
  };
  await raise(cluster);
  const parts: PhaseParts = { cluster, signal: interrupted, say };
  const { results, brokeOff } = await runPhases(phases(rounds), parts);
  console.log(`\n${formatTable(results)}\n`);
  if (brokeOff !== undefined) {
    console.error(await cluster.said());
    console.log(`It broke off, and what is above is all that there was: ${brokeOff}`);
  }
  const isDone = !interrupted.aborted && results.length === phases(rounds).length;
  const isWhole = isDone && results.every(isAsPromised);
  if (!isWhole) {
    const wasBroken = results.some(isBroken);
    console.log(wasBroken ? "NOT AS PROMISED." : "Stopped before its end.");
    return wasBroken || brokeOff !== undefined ? 1 : INCOMPLETE;
  }
  say("as promised");
  await writePage(join(pages, "failover.md"), formatPage(results, where));
  return 0;
}

interface Results {
  readonly results: readonly PhaseResult[];
  readonly brokeOff: string | undefined;
}

/** One after the other, until one breaks off: what was seen until then is kept. */
async function runPhases(all: readonly Phase[], parts: PhaseParts): Promise<Results> {
  const results: PhaseResult[] = [];
  for (const phase of all) {
    if (interrupted.aborted) break;
    try {
      const result = await runPhase(phase, parts);
      results.push(result);
      say(formatVerdict(result.verdict));
      if (!isAsPromised(result)) await keep(result);
      if (result.brokeOff !== undefined) return { results, brokeOff: result.brokeOff };
    } catch (error) {
      return { results, brokeOff: `${phase.title}: ${String(error)}` };
    }
  }
  return { results, brokeOff: undefined };
}

function phases(rounds: number): Phase[] {
  return [
    {
      title: "synchronous, leader killed",
      replication: "synchronous",
      strike: "kill",
      strikes: rounds,
    },
    {
      title: "synchronous, hand-over",
      replication: "synchronous",
      strike: "switchover",
      strikes: rounds,
    },
    {
      title: "asynchronous, leader killed ahead of its standbys",
      replication: "asynchronous",
      strike: "kill-ahead",
      strikes: Math.min(rounds, 3),
    },
  ];
}

/** All three nodes, with the tables. */
async function raise(cluster: Cluster): Promise<void> {
  const first = await awaitLeader(cluster);
  for (const node of cluster.nodes) if (node.name !== first.name) node.start();
  await awaitWhole(cluster, "synchronous");
  const pool = new Pool({ connectionString: cluster.url, max: 1 });
  await migrate(pool);
  await pool.query(EFFECTS);
  await pool.end();
  say("three nodes are up");
}

/** Whatever was not as promised is written out whole. */
async function keep({ phase, evidence }: PhaseResult): Promise<void> {
  const file = await writeHistory(phase.title.replaceAll(/\W+/g, "-"), evidence);
  say(`${phase.title}: not as promised; the whole history: ${file} (test:faults --judge)`);
}

function say(line: string): void {
  console.log(`${((performance.now() - startedAt) / 1_000).toFixed(0).padStart(4)} s  ${line}`);
}
