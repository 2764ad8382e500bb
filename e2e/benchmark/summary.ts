/** The summary of a run's slices. */
import { medianOf, spreadOf } from "./statistics.ts";
import type { Spread } from "./statistics.ts";
import type { Cell, Slice } from "./rounds.ts";
import { NOISY } from "./slice.ts";
import { SUBJECTS } from "./subjects/subjects.ts";
import type { SubjectName } from "./subjects/subjects.ts";

export interface Summary extends Cell {
  readonly subject: SubjectName;
  /** To the reference of its kind, in the same round. */
  readonly ratio: Spread;
  readonly cpuRatio: Spread;
  readonly rate: Spread;
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  /** µs and bytes of one request. */
  readonly serverUs: Spread;
  readonly databaseUs: Spread;
  readonly loaderUs: Spread;
  readonly walBytes: Spread;
}

/** Returns one summary for each subject, kind and number of connections, in the order of the subjects. */
export function summarise(slices: readonly Slice[]): Summary[] {
  const groups = Map.groupBy(slices, ({ kind, connections, subject }) =>
    [kind, connections, subject].join(" "),
  );
  const order = SUBJECTS.map(({ name }) => name);
  return [...groups.values()]
    .flatMap((group) => {
      const [first] = group;
      if (first === undefined) return [];
      const spread = (of: (slice: Slice) => number | undefined): Spread =>
        spreadOf(group.map((slice) => of(slice) ?? Number.NaN));
      return [
        {
          kind: first.kind,
          connections: first.connections,
          subject: first.subject,
          ratio: spread(({ ratio }) => ratio),
          cpuRatio: spread(({ cpuRatio }) => cpuRatio),
          rate: spread(({ rate }) => rate),
          p50Ms: spread(({ p50Ms }) => p50Ms),
          p99Ms: spread(({ p99Ms }) => p99Ms),
          serverUs: spread(({ serverUs }) => serverUs),
          databaseUs: spread(({ databaseUs }) => databaseUs),
          loaderUs: spread(({ loaderUs }) => loaderUs),
          walBytes: spread(({ walBytes }) => walBytes),
        },
      ];
    })
    .toSorted((one, two) => order.indexOf(one.subject) - order.indexOf(two.subject));
}

/** The share of the CPU that other processes used during a run. */
export interface Noise {
  /** Median part of the CPU that they used. `@range 0–1` */
  readonly median: number;
  /** Part of the slices that stayed noisy after all repeats. `@range 0–1` */
  readonly noisySlices: number;
}

export function noiseOf(slices: readonly Pick<Slice, "noise">[]): Noise {
  const noises = slices.map(({ noise = Number.NaN }) => noise);
  const noisy = noises.filter((noise) => noise > NOISY).length;
  return { median: medianOf(noises), noisySlices: noisy / Math.max(1, slices.length) };
}
