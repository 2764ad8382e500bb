/** Runs in a copy of the project: one hunt, and on the channel what it caught. */
import type { HistoryEvent } from "../history/event.ts";
import { formatVerdict } from "../checker/verdict.ts";
import { writeHistory } from "../one-run/keep.ts";
import { run } from "../one-run/run.ts";
import type { RunReport } from "../one-run/run.ts";
import { planHunt } from "./hunts.ts";
import type { HuntName } from "./mutant.ts";

/** Result of a hunt. */
export interface Catch {
  /** The invariants that were broken. Empty: nothing was. */
  readonly invariants: readonly string[];
  /** The number of the first operation that shows it, in the order in which they were begun. */
  readonly operations: number;
  readonly verdict: string;
  /**
   * The file of an unexpected history: a planted bug that was not found, or a violation without a
   * bug.
   */
  readonly history: string | undefined;
}

process.once("disconnect", () => process.exit());
const signal = new AbortController().signal;
const name = process.argv[2] as HuntName;
const isPlanted = process.argv[3] === "planted";
const plan = planHunt(name);
const report = await run({ ...plan, signal, onProgress: () => undefined });
process.send?.(await toCatch(report), undefined, undefined, () => process.disconnect());

async function toCatch({ verdict, evidence, operations }: RunReport): Promise<Catch> {
  const invariants = [...new Set(verdict.violations.map(({ invariant }) => invariant))];
  const starts = verdict.violations.flatMap(({ at }) => {
    const first = at?.attempts[0];
    return first === undefined ? [] : [first.invoke.atMs];
  });
  const firstAt = Math.min(...starts);
  return {
    invariants: invariants.toSorted((a, b) => a.localeCompare(b, "en", { numeric: true })),
    operations: Number.isFinite(firstAt) ? begunBefore(evidence.events, firstAt) : operations,
    verdict: formatVerdict(verdict),
    history:
      isPlanted === invariants.length > 0
        ? undefined
        : await writeHistory(`hunt-${name}`, evidence),
  };
}

function begunBefore(events: readonly HistoryEvent[], atMs: number): number {
  const begun = events.flatMap((event) =>
    event.kind === "invoke" && event.atMs <= atMs ? [event.operation] : [],
  );
  return new Set(begun).size;
}
