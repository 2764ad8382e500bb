/** Has partitions come and go during a run: takes days to come back again and again, and lets the servers drop what is over. */
import { setTimeout as sleep } from "node:timers/promises";
import { LimitError, until } from "@oncekey/test-support/processes/deadline";
import type { Pool } from "pg";
import { DAYS_TURN } from "../checker/disturbance.ts";
import type { Leftovers } from "../checker/settling.ts";
import { lookAgain, missingOf, releaseDays, takeBack } from "../fleet/days.ts";
import type { Days } from "../protocol/days.ts";
import type { History } from "../history/history.ts";
import type { Random } from "../protocol/random.ts";

export interface DayOptions {
  readonly pool: Pool;
  /** Undefined: the table has no partitions. */
  readonly days: Days | undefined;
  /** Returns the part of the run that is done, from 0 to 1. */
  readonly progress: () => number;
  readonly random: Random;
  readonly history: History;
  readonly signal: AbortSignal;
}

export interface TurningDays {
  /** Days that the servers added and dropped. */
  readonly caused: () => Readonly<Record<string, number>>;
  readonly done: Promise<void>;
  /** Waits until each day has its partition again. Returns what the servers did not add. */
  readonly leftovers: () => Promise<Leftovers[]>;
}

const EVERY_MS = 1_000;
/** Some sweeps of four servers, and the locks that requests keep from them. */
const PATIENCE_MS = 15_000;

/** Goes on until the signal. */
export function turnDays({
  pool,
  days,
  progress,
  random,
  history,
  signal,
}: DayOptions): TurningDays {
  if (days === undefined)
    return { caused: () => ({}), done: Promise.resolve(), leftovers: async () => [] };
  let [added, dropped] = [0, 0];
  let missing: readonly number[] = [];
  const look = async (): Promise<void> => {
    const now = await missingOf(pool, days.coming);
    added += missing.filter((day) => !now.includes(day)).length;
    missing = now;
    dropped = (await missingOf(pool, days.old)).length;
  };
  const turn = async (): Promise<void> => {
    await releaseDays(pool, days.old.slice(0, Math.floor(progress() * days.old.length)));
    await lookAgain(pool);
    await look();
    const there = days.coming.filter((day) => !missing.includes(day));
    if (missing.length < there.length) await takeBack(pool, random.pick(there));
  };
  const work = async (): Promise<void> => {
    history.add({ kind: "fault", phase: "begin", fault: DAYS_TURN });
    while (!signal.aborted) {
      // A handler may have the lock, and a strike may end the rig's own connections too.
      await turn().catch(() => undefined);
      await sleep(EVERY_MS);
    }
    history.add({ kind: "fault", phase: "end", fault: DAYS_TURN });
  };
  return {
    caused: () => ({ "day added": added, "day dropped": dropped }),
    done: work(),
    async leftovers() {
      const isWhole = async (): Promise<boolean> => {
        await look();
        return missing.length === 0;
      };
      const what = "the partitions of the days to come";
      await until(isWhole, { what, patienceMs: PATIENCE_MS }).catch((error: unknown) => {
        if (!(error instanceof LimitError)) throw error;
      });
      return [{ where: "the table", found: { "days without a partition": missing.length } }];
    },
  };
}
