/** Measures all subjects in one runtime: every round measures one after the other, so that noise meets them alike. */
import type { Runtime } from "./runtimes.ts";
import { SUBJECTS } from "./subjects.ts";
import type { Subject } from "./subjects.ts";

export interface Plan {
  /** At most. */
  readonly rounds: number;
  /** No round begins later, in ms, except the first measured one. */
  readonly limitMs: number;
  /** Rounds before the first measured one. */
  readonly warmUp: number;
  /** Calls of a subject in each round. */
  readonly calls: number;
}

export interface Cost {
  readonly subject: Subject;
  /** Medians of the rounds: µs a call, and its ratios to the calls of the same round that use `fetch` or ky alone. */
  readonly us: number;
  readonly overFetch: number;
  readonly overKy: number;
  /** Bytes that a call allocates. */
  readonly bytes: number;
}

export interface Measurement {
  readonly runtime: string;
  /** Number of measured rounds. */
  readonly rounds: number;
  readonly costs: readonly Cost[];
}

type Round = Readonly<Record<Subject, number>>;

export async function measure(
  runtime: Runtime,
  { rounds, limitMs, warmUp, calls }: Plan,
): Promise<Measurement> {
  const endsAt = performance.now() + limitMs;
  const measured: Round[] = [];
  for (let round = -warmUp; round < rounds; round += 1) {
    if (performance.now() > endsAt && measured.length > 0) break;
    const times: [Subject, number][] = [];
    for (const subject of SUBJECTS) times.push([subject, await runtime.time(subject, calls)]);
    if (round >= 0) measured.push(Object.fromEntries(times) as Round);
  }
  const costs: Cost[] = [];
  for (const subject of SUBJECTS) {
    const bytes = await runtime.allocate(subject, calls);
    costs.push({
      subject,
      us: medianOf(measured.map((round) => round[subject])),
      overFetch: medianOf(measured.map((round) => round[subject] / round.fetch)),
      overKy: medianOf(measured.map((round) => round[subject] / round.ky)),
      bytes,
    });
  }
  return { runtime: runtime.name, rounds: measured.length, costs };
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
