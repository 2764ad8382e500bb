/** The interleaved run: in each round every server is measured in each way, next to its reference. */
import { randomUUID } from "node:crypto";
import type { Lab, MeasuredServer } from "./lab.ts";
import type { Until } from "./load-order.ts";
import type { Plan } from "./settings.ts";
import type { OnProgress } from "./progress.ts";
import { createQuietly, measureSlice } from "./slice.ts";
import type { Figures } from "./slice.ts";
import { PATH, REFERENCE, SUBJECTS } from "./subjects/subjects.ts";
import type { Kind, SubjectName } from "./subjects/subjects.ts";

export interface Cell {
  readonly kind: Kind;
  readonly connections: number;
}

export interface Slice extends Cell, Figures {
  readonly subject: SubjectName;
  readonly round: number;
  /** Its rate by that of the reference beside it. */
  readonly ratio: number;
  /**
   * The CPU of the reference, in server and database, by its own. If the CPU is the limit, `ratio`
   * tends to it; other processes disturb it less.
   */
  readonly cpuRatio: number;
}

export type Servers = ReadonlyMap<SubjectName, MeasuredServer>;

interface Group extends Cell {
  readonly subjects: readonly SubjectName[];
}

/** Number of connections for what is not measured. */
export const LOAD_CONNECTIONS = 16;

// Peers get a reference of their own: between a reference and a subject there are at most five others.
const GROUPS = [["reference", "prototype", "strategy"], ["peer"]] as const;

export async function runRounds(
  lab: Lab,
  servers: Servers,
  plan: Plan,
  onProgress: OnProgress,
): Promise<Slice[]> {
  const groups = groupsOf(plan, servers);
  const warmUps = warmUpsOf(groups);
  const rings = new Map<SubjectName, readonly string[]>();
  const aRound = groups.reduce((sum, { subjects }) => sum + subjects.length, 0);
  const all = warmUps.length + aRound * plan.rounds;
  let done = 0;
  const slices: Slice[] = [];

  const measure = async (
    { kind, connections }: Cell,
    subject: SubjectName,
    until: Until,
  ): Promise<Figures> => {
    const server = servers.get(subject);
    if (server === undefined) throw new Error(`${subject} was not started`);
    const keys = await keysOf(kind, subject, server);
    const isReplay = kind === "first" ? false : subject !== "F0";
    const order = { path: PATH[kind], connections, keys, until, isReplay };
    return measureSlice(lab, server, order);
  };

  /** New keys, or those whose responses are stored. The process forgets old ones, so it gets new ones each time. */
  const keysOf = async (
    kind: Kind,
    subject: SubjectName,
    { port }: MeasuredServer,
  ): Promise<"v4" | readonly string[]> => {
    if (kind === "first" || subject === "F0") return "v4";
    const known = kind === "replay" ? rings.get(subject) : undefined;
    if (known !== undefined) return known;
    const keys = await createKeys(lab, { port, kind, count: plan.ring });
    if (kind === "replay") rings.set(subject, keys);
    return keys;
  };

  const quietly = createQuietly(plan);
  for (const { kind, connections, subject } of warmUps) {
    onProgress(done, all, `warm-up: ${kind}, ${subject}`);
    done += 1;
    await measure({ kind, connections }, subject, plan.warmUp);
  }
  const startedAt = performance.now();
  for (let round = 1; round <= plan.rounds; round += 1) {
    const spentMs = performance.now() - startedAt;
    // `performance.now()` counts from the start of this process.
    if (round > 1 && performance.now() + spentMs / (round - 1) > plan.limitMs) break;
    for (const group of round % 2 === 1 ? groups : groups.toReversed()) {
      const { kind, connections, subjects } = group;
      const measured = new Map<SubjectName, Figures>();
      // In the other order every second time, so that none always follows the same.
      for (const subject of round % 2 === 1 ? subjects : subjects.toReversed()) {
        const where = `${kind} × ${connections}, ${subject}`;
        onProgress(done, all, `round ${round} of at most ${plan.rounds}: ${where}`);
        done += 1;
        measured.set(subject, await quietly(() => measure(group, subject, plan.slice)));
      }
      const reference = measured.get(REFERENCE[kind]);
      if (reference === undefined) continue;
      for (const [subject, figures] of measured) {
        const ratio = figures.rate / reference.rate;
        const cpuRatio = cpuOf(reference) / cpuOf(figures);
        slices.push({ kind, connections, subject, round, ratio, cpuRatio, ...figures });
      }
    }
  }
  return slices;
}

/** Returns new keys whose responses are stored. */
export async function createKeys(
  { loader }: Lab,
  { port, kind, count }: { readonly port: number; readonly kind: Kind; readonly count: number },
): Promise<readonly string[]> {
  const keys = Array.from({ length: count }, () => randomUUID());
  await loader.load({
    port,
    path: PATH[kind],
    connections: LOAD_CONNECTIONS,
    keys,
    until: { requests: count },
    isReplay: false,
  });
  return keys;
}

function groupsOf(plan: Plan, servers: Servers): Group[] {
  const found: Group[] = [];
  for (const kind of plan.kinds) {
    for (const connections of plan.concurrencies) {
      for (const roles of GROUPS) {
        const named = SUBJECTS.filter(
          ({ name, role, kinds }) =>
            servers.has(name) && kinds.includes(kind) && roles.some((one) => one === role),
        ).map(({ name }) => name);
        const subjects = [...new Set([REFERENCE[kind], ...named])];
        if (named.length > 0) found.push({ kind, connections, subjects });
      }
    }
  }
  return found;
}

/** One for each subject and kind: the number of connections changes nothing that has to get warm. */
function warmUpsOf(groups: readonly Group[]): (Cell & { readonly subject: SubjectName })[] {
  const all = groups.flatMap(({ kind, subjects }) =>
    subjects.map((subject) => ({ kind, connections: LOAD_CONNECTIONS, subject })),
  );
  return [...new Map(all.map((one) => [`${one.kind} ${one.subject}`, one])).values()];
}

function cpuOf({ serverUs = Number.NaN, databaseUs = Number.NaN }: Figures): number {
  return serverUs + databaseUs;
}
