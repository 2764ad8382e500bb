/** One run: the load, what interferes with it, and the verdict on what was left. */
import type { Verdict } from "../checker/judge.ts";
import type { Leftovers } from "../checker/settling.ts";
import { createHistory } from "../history/history.ts";
import type { History } from "../history/history.ts";
import { startLoad } from "../load/load.ts";
import type { Sending } from "../load/clients.ts";
import { drawOperation } from "../load/operation.ts";
import type { Mix, Operation } from "../load/operation.ts";
import type { RecorderParts } from "../load/recorder.ts";
import { abandonKeys, awaitOutcomes, foundRows } from "../nemesis/abandon.ts";
import { startDisturbances } from "../nemesis/disturbances.ts";
import type { Counts } from "../nemesis/disturbances.ts";
import { turnDays } from "../nemesis/days.ts";
import { forgetAgainAndAgain } from "../nemesis/forgetter.ts";
import { hangUpAgainAndAgain } from "../nemesis/hang-up.ts";
import { planStrikes } from "../nemesis/strike.ts";
import type { Blow, Strike } from "../nemesis/strike.ts";
import { startStriker } from "../nemesis/striker.ts";
import { askOnceMore } from "./ask-once-more.ts";
import { startFleet } from "../fleet/fleet.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { drawKeyOf, drawUuid } from "../protocol/days.ts";
import { judgeRun } from "./judge-run.ts";
import type { RunEvidence } from "./judge-run.ts";
import { createRandom, createRandomFor } from "../protocol/random.ts";
import { policyOf, TURNING_ROUTE } from "../protocol/routes.ts";
import { watchStalls } from "./stalls.ts";
import { dump } from "../fleet/tables.ts";
import { chooseWay } from "./way.ts";

export interface RunOptions {
  readonly seed: number;
  readonly operations: number;
  readonly clients: number;
  readonly mix: Mix;
  /** Number of times each blow falls at each boundary of each strategy. */
  readonly strikes: Readonly<Record<Blow, number>>;
  /** The part of these strikes that is dealt, chosen by the seed. Default 1: all. */
  readonly share?: number;
  /** Only the strikes that are like this. */
  readonly only?: Partial<Strike>;
  /** Duration of a pause. Default: longer than a lease and than a transaction may be idle. */
  readonly pauseMs?: number;
  readonly disturbances: Counts;
  /** Share of attempts that meet a fault of the fault proxy. */
  readonly wireFaults: number;
  /** Whether callers hang up on handlers and reply streams without end, all the time. Default not. */
  readonly hangUps?: boolean;
  /** Number of lease keys whose clients send once and never come back. Default none. */
  readonly abandoned?: number;
  /** Nothing new is started after so many milliseconds; what is under way is finished and judged, within `SETTLING_MS`. */
  readonly limitMs: number;
  /** Time in which a key gets its final answer when all faults have ended. Default 30 leases. */
  readonly settleMs?: number;
  /**
   * Whether the records are partitioned by the day of their key, and days come and go while the load runs. Default not.
   */
  readonly partitioned?: boolean;
  /** Which servers there are. Default all. */
  readonly servers?: readonly string[];
  /** Ends the run at once: what has happened until then is judged. */
  readonly signal: AbortSignal;
  readonly onProgress: (line: string) => void;
}

export interface RunReport {
  readonly verdict: Verdict;
  readonly evidence: RunEvidence;
  readonly seed: number;
  readonly share: number;
  readonly operations: number;
  readonly dealt: Readonly<Record<Blow, number>>;
  readonly plannedStrikes: number;
  /** Faults that were planned and not dealt. */
  readonly undealt: number;
  readonly caused: Readonly<Record<string, number>>;
  /** Whether server `D` was behind a pooler: not where the machine has none. */
  readonly isPooled: boolean;
  readonly isPartitioned: boolean;
  readonly loadMs: number;
  readonly settleMs: number;
  readonly end: "whole" | "out of time" | "interrupted";
}

const PROGRESS_MS = 5_000;
/** Time after the limit in which keys are still repeated; the rest is reported. */
const SETTLING_MS = 90_000;

export async function run(options: RunOptions): Promise<RunReport> {
  const fleet = await startFleet(options);
  try {
    return await runOn(fleet, options);
  } finally {
    await fleet.stop();
  }
}

/** The same on a fleet that was there before and stays. */
export async function runOn(fleet: Fleet, options: RunOptions): Promise<RunReport> {
  const { seed, signal, limitMs } = options;
  const startedAt = performance.now();
  const history = createHistory();
  const enough = AbortSignal.any([signal, AbortSignal.timeout(Math.round(limitMs))]);
  const stalls = watchStalls(history);
  const work = startWork(fleet, options, history, enough);
  const progress = setInterval(() => {
    const seconds = Math.round((performance.now() - startedAt) / 1_000);
    options.onProgress(`${seconds} s: ${work.progress()}`);
  }, PROGRESS_MS);
  try {
    await work.done;
    const loadMs = performance.now() - startedAt;
    const isOutOfTime = enough.aborted;
    const leftMs = Math.max(0, startedAt + limitMs - performance.now()) + SETTLING_MS;
    const over = AbortSignal.any([signal, AbortSignal.timeout(Math.round(leftMs))]);
    const forSettling = createRandomFor(seed, "settling");
    const toAsk = { keys: work.asked(), random: forSettling, settleMs: options.settleMs };
    const [unasked] = await Promise.all([
      askOnceMore(fleet, toAsk, history, over),
      awaitOutcomes(fleet, work.abandoned(), over, options.settleMs),
    ]);
    const wasInterrupted = signal.aborted;
    const ofDays = wasInterrupted ? [] : await work.leftDays();
    const left = { wasInterrupted, unasked, abandoned: work.abandoned(), ofDays };
    const evidence = await gather(fleet, history, options.mix, left);
    const { caused, ...counts } = work.counts();
    return {
      verdict: judgeRun(evidence),
      evidence,
      seed,
      share: options.share ?? 1,
      ...counts,
      caused: { ...caused, "rig stood still": stalls.count() },
      isPooled: fleet.restartPooler !== undefined,
      isPartitioned: fleet.days !== undefined,
      loadMs,
      settleMs: performance.now() - startedAt - loadMs,
      end: wasInterrupted
        ? "interrupted"
        : isOutOfTime || unasked.length > 0
          ? "out of time"
          : "whole",
    };
  } finally {
    clearInterval(progress);
    stalls.stop();
  }
}

interface Left {
  readonly wasInterrupted: boolean;
  readonly unasked: readonly Sending[];
  readonly abandoned: readonly Sending[];
  /** About the partitions. */
  readonly ofDays: readonly Leftovers[];
}

async function gather(
  fleet: Fleet,
  history: History,
  mix: Mix,
  { wasInterrupted, unasked, abandoned, ofDays }: Left,
): Promise<RunEvidence> {
  return {
    events: history.events,
    // The aftermath of the last faults is still held when a run is cut off.
    leftovers: wasInterrupted ? [] : [...(await fleet.leftovers()), ...ofDays],
    rows: [...(await dump(fleet.pool, mix.scopes)), ...foundRows(fleet, abandoned)],
    policyOf,
    raced: mix.duplicates > 0 ? [...new Set(mix.routes.map(({ policy }) => policy.strategy))] : [],
    isComplete: !wasInterrupted,
    unasked: unasked.map(({ scope, key = "", path }) => ({ scope, key, target: `POST ${path}` })),
  };
}

interface Work {
  /** Returns the requests to repeat in the end. */
  readonly asked: () => readonly Sending[];
  /** Returns the requests that are never repeated. */
  readonly abandoned: () => readonly Sending[];
  /** Returns the days that the servers have not added, when all is quiet. */
  readonly leftDays: () => Promise<Leftovers[]>;
  readonly done: Promise<void>;
  readonly progress: () => string;
  readonly counts: () => Pick<
    RunReport,
    "operations" | "dealt" | "plannedStrikes" | "undealt" | "caused"
  >;
}

function startWork(fleet: Fleet, options: RunOptions, history: History, signal: AbortSignal): Work {
  const { seed, operations, clients, mix, strikes, disturbances: counts, pauseMs } = options;
  const { share = 1, only } = options;
  // The same seed plans the same operations under the same keys, and the same faults. The
  // interleaving is up to real processes, so that two runs are not the same history.
  const random = createRandom(seed);
  const forOperations = createRandomFor(seed, "operations");
  const forWays = createRandomFor(seed, "ways");
  const wayOf = () => chooseWay(fleet, forWays, options.wireFaults);
  const parts: RecorderParts = { history, policyOf, wayOf };
  const { servers, pool } = fleet;
  const all = planStrikes(random, strikes, only);
  const planned = all.slice(0, Math.ceil(all.length * share));
  const striker = startStriker({
    strikes: planned,
    servers,
    pool,
    history,
    random: createRandomFor(seed, "striker"),
    signal,
    pauseMs,
  });
  const around = startDisturbances({ counts, fleet, history, random, signal });
  let isDisturbed = true;
  const interference = Promise.all([striker.done, around.done]).then(() => {
    isDisturbed = false;
    return undefined;
  });
  // Strikes wait for a request that comes by: the work goes on until the last one is dealt.
  let drawn = 0;
  const { days } = fleet;
  const progressed = (): number => Math.min(1, drawn / Math.max(1, operations));
  const drawKey = days === undefined ? drawUuid : drawKeyOf(days, progressed);
  const next = (): Operation | undefined => {
    if (drawn >= operations && !isDisturbed) return undefined;
    drawn += 1;
    return drawOperation(forOperations, mix, drawKey);
  };
  const load = startLoad({
    ...parts,
    clients,
    next,
    signal,
    random: createRandomFor(seed, "pauses"),
  });
  const abandoning = abandonKeys({
    ...parts,
    fleet,
    drawKey,
    random: createRandomFor(seed, "abandoned"),
    count: options.abandoned ?? 0,
    scopes: mix.scopes,
    signal,
  });
  const ending = new AbortController();
  const forgotten: Sending[] = [];
  const forgetting = forgetAgainAndAgain({
    ...parts,
    fleet,
    drawKey,
    random: createRandomFor(seed, "forgetter"),
    // The turning route has a registration of its own, which the servers' endpoint does not
    // inspect.
    routes: mix.routes.filter((route) => route !== TURNING_ROUTE),
    scope: `${mix.scopes}-0`,
    signal: ending.signal,
    onKey: (sending) => void forgotten.push(sending),
  });
  const turning = turnDays({
    pool,
    days,
    progress: progressed,
    history,
    random: createRandomFor(seed, "days"),
    signal: ending.signal,
  });
  let hungUp = 0;
  const hangingUp = hangUpAgainAndAgain({
    ...parts,
    drawKey,
    random: createRandomFor(seed, "hang-ups"),
    routes: options.hangUps === true ? mix.routes : [],
    scope: `${mix.scopes}-1`,
    signal: ending.signal,
    onKey: (sending) => void forgotten.push(sending),
  }).then((count) => {
    hungUp = count;
    return undefined;
  });
  const finish = async (): Promise<void> => {
    await Promise.all([load.done, interference, abandoning.done]);
    ending.abort();
    await Promise.all([forgetting, hangingUp, turning.done]);
  };
  const dealtCount = (): number => Object.values(striker.dealt).reduce((sum, one) => sum + one, 0);
  return {
    asked: () => [...load.firsts, ...forgotten],
    abandoned: () => abandoning.keys,
    leftDays: turning.leftovers,
    done: finish(),
    progress: () => `${drawn} operations, ${planned.length - dealtCount()} strikes to come`,
    counts: () => ({
      operations: drawn,
      dealt: striker.dealt,
      plannedStrikes: planned.length,
      undealt: planned.length - dealtCount() + around.missed(),
      caused: {
        ...around.caused,
        ...(options.hangUps === true ? { "callers hung up": hungUp } : {}),
        ...(abandoning.keys.length > 0 ? { "clients vanished": abandoning.kills() } : {}),
        ...fleet.databaseProxy.struck(),
        ...turning.caused(),
      },
    }),
  };
}
