/** `bench --floor`: the same statements played by bare sockets, which shows what Postgres alone allows, beside the servers themselves. */
import { createQuietly, measureRun } from "../slice.ts";
import type { Figures } from "../slice.ts";
import { openLab } from "../lab.ts";
import type { Lab, MeasuredServer } from "../lab.ts";
import { describeMachine } from "../machine.ts";
import type { Machine } from "../machine.ts";
import type { OnProgress } from "../progress.ts";
import { runRounds } from "../rounds.ts";
import type { Slice } from "../rounds.ts";
import type { Plan } from "../settings.ts";
import { STRATEGIES } from "../subjects/subjects.ts";
import type { SubjectName } from "../subjects/subjects.ts";
import type { Until } from "../load-order.ts";
import { openPlaySession, play } from "./play.ts";
import type { PlaySession } from "./play.ts";
import { recordScript } from "./record.ts";
import type { Script } from "./record.ts";

/** Its `serverUs` is the time of the player. */
export interface PlayedSlice extends Figures {
  readonly subject: SubjectName;
  readonly sessions: number;
  readonly round: number;
  /** Its rate by that of F2's statements beside it, and F2's CPU of Postgres by its own. */
  readonly ratio: number;
  readonly cpuRatio: number;
}

export interface PlayedScript {
  readonly subject: SubjectName;
  readonly flights: number;
  readonly statements: number;
}

export interface Floor {
  readonly machine: Machine;
  readonly scripts: readonly PlayedScript[];
  readonly played: readonly PlayedSlice[];
  /** The servers themselves, and the bare prototype. */
  readonly slices: readonly Slice[];
}

/** The connections of a server's pool: so many sessions at most serve any number of callers. */
export const POOL_CONNECTIONS = 16;

const REFERENCE = "F2";
// A session replaces its plans by generic ones after five uses.
const WARM_UP_REQUESTS = 10;

export async function measureFloor(plan: Plan, onProgress: OnProgress): Promise<Floor> {
  const lab = await openLab();
  try {
    const strategies = STRATEGIES.filter((name) => plan.subjects.includes(name));
    const scripts = new Map<SubjectName, Script>();
    for (const subject of [REFERENCE, ...strategies] as const) {
      onProgress(0, 1, `records the statements of ${subject}`);
      scripts.set(subject, await recordScript(lab, subject));
    }
    const played = await playRounds(lab, scripts, plan, onProgress);
    const servers = new Map<SubjectName, MeasuredServer>();
    for (const name of plan.subjects)
      servers.set(name, await lab.start(name, await lab.database(name)));
    const slices = await runRounds(lab, servers, plan, onProgress);
    return {
      machine: await describeMachine(lab),
      scripts: [...scripts].map(([subject, { flights, statements }]) => ({
        subject,
        flights: flights.length,
        statements,
      })),
      played,
      slices,
    };
  } finally {
    await lab.stop();
  }
}

async function playRounds(
  lab: Lab,
  scripts: ReadonlyMap<SubjectName, Script>,
  plan: Plan,
  onProgress: OnProgress,
): Promise<PlayedSlice[]> {
  const slices: PlayedSlice[] = [];
  const subjects = [...scripts.keys()];
  const all = plan.rounds * plan.concurrencies.length * subjects.length;
  const quietly = createQuietly(plan);
  let done = 0;
  for (let round = 1; round <= plan.rounds; round += 1) {
    for (const sessions of plan.concurrencies) {
      const measured = new Map<SubjectName, Figures>();
      // In the other order every second time, so that none always follows the same.
      for (const subject of round % 2 === 1 ? subjects : subjects.toReversed()) {
        const script = scripts.get(subject);
        if (script === undefined) continue;
        onProgress(
          done,
          all,
          `round ${round} of ${plan.rounds}: Postgres alone, ${subject} × ${sessions}`,
        );
        done += 1;
        const playOnce = (): Promise<Figures> =>
          playSlice(lab, subject, script, sessions, plan.slice);
        measured.set(subject, await quietly(playOnce));
      }
      const reference = measured.get(REFERENCE);
      if (reference === undefined) continue;
      for (const [subject, figures] of measured) {
        const ratio = figures.rate / reference.rate;
        const cpuRatio = (reference.databaseUs ?? Number.NaN) / (figures.databaseUs ?? Number.NaN);
        slices.push({ subject, sessions, round, ratio, cpuRatio, ...figures });
      }
    }
  }
  return slices;
}

async function playSlice(
  lab: Lab,
  subject: SubjectName,
  script: Script,
  count: number,
  until: Until,
): Promise<Figures> {
  const url = await lab.database(subject);
  let playerUs = Number.NaN;
  const sessions: PlaySession[] = [];
  try {
    while (sessions.length < count) sessions.push(await openPlaySession(url, script));
    await play(sessions, script, { requests: WARM_UP_REQUESTS * count });
    const figures = await measureRun(lab, lab.loader.pid, async () => {
      const before = process.cpuUsage();
      const run = await play(sessions, script, until);
      const { user, system } = process.cpuUsage(before);
      playerUs = (user + system) / run.requests;
      return run;
    });
    return { ...figures, serverUs: playerUs };
  } finally {
    // Their processes are gone before the next slice begins, or it would lose their time.
    await Promise.all(sessions.map((session) => session.close()));
    await untilGone(lab, new URL(url).pathname.slice(1));
  }
}

async function untilGone({ admin }: Lab, database: string): Promise<void> {
  for (;;) {
    const { rowCount } = await admin.query(
      "select from pg_stat_activity where datname = $1 and backend_type = 'client backend'",
      [database],
    );
    if (rowCount === 0) return;
  }
}
