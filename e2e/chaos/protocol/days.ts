/** The days of the rig's keys, if the records are partitioned by them: old ones that end under load, and those from today on. */
import type { Policy } from "../checker/case.ts";
import type { Random } from "./random.ts";

/** Beginnings of days, in milliseconds since 1970. */
export interface Days {
  /** Each has a partition when the run begins. The sweep drops the oldest first. */
  readonly old: readonly number[];
  /** Today and the days that the servers add ahead. */
  readonly coming: readonly number[];
}

/** Draws the key of a request to a route. */
export type DrawKey = (random: Random, policy: Policy) => string;

export const DAY_MS = 86_400_000;
const OLD_DAYS = 12;
/** Age of the youngest old day: the sweep keeps a day until it is two days old. */
const YOUNGEST = 3;
const AHEAD = 7;
/** Share of the keys with a lasting record that only sort among the keys of an old day. They outlive its partition. */
const STRAYS = 0.2;

export function daysAround(now: number): Days {
  const today = now - (now % DAY_MS);
  const day = (ahead: number): number => today + ahead * DAY_MS;
  return {
    old: Array.from({ length: OLD_DAYS }, (_, n) => day(n - OLD_DAYS - YOUNGEST + 1)),
    coming: Array.from({ length: AHEAD + 1 }, (_, n) => day(n)),
  };
}

/** For a table without partitions. */
export const drawUuid: DrawKey = (random) => random.uuid();

/**
 * Puts keys whose records soon expire into one old day after the other, so that each of them ends. Records that last are of days to
 * come.
 *
 * @param progress the part of the run that is done, from 0 to 1.
 */
export function drawKeyOf({ old, coming }: Days, progress: () => number): DrawKey {
  return (random, { retentionMs }) => {
    const oldest = old[Math.min(old.length - 1, Math.floor(progress() * old.length))] ?? 0;
    const isLasting = retentionMs >= DAY_MS;
    const isStray = isLasting && random.chance(STRAYS);
    const day = isLasting && !isStray ? random.pick(coming) : oldest;
    const head = headOf(day + random.below(DAY_MS));
    const uuid = random.uuid();
    return `${head}-${isStray ? "4" : "7"}${uuid.slice(15)}`;
  };
}

/** Returns the first 12 digits of a UUIDv7, with their hyphen. */
export function headOf(ms: number): string {
  const digits = ms.toString(16).padStart(12, "0");
  return `${digits.slice(0, 8)}-${digits.slice(8)}`;
}
