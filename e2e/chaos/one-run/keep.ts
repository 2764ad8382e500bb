/** Keeps a history with violations in a file, with everything to judge it again. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Policy, Row } from "../checker/case.ts";
import type { RunEvidence } from "./judge-run.ts";
import type { HistoryEvent } from "../history/event.ts";
import { readLines, writeLines } from "../history/history.ts";

/** The first line of its file: facts that are in neither an event nor a row of the database. */
interface Header extends Pick<RunEvidence, "leftovers" | "raced" | "isComplete" | "unasked"> {
  readonly kind: "header";
  /** The promises, by target. */
  readonly policies: Readonly<Record<string, Policy>>;
}

const ROWS: ReadonlySet<string> = new Set<Row["kind"]>(["effect", "record", "decision", "found"]);

type Line = Header | HistoryEvent | Row;

/** Writes it out whole, and returns its path. */
export async function keepHistory(of: {
  readonly seed: number;
  readonly evidence: RunEvidence;
}): Promise<void> {
  const file = await writeHistory(`${of.seed}`, of.evidence);
  console.log(`the whole history: ${file} (test:faults --judge)`);
}

/** @returns the file, in the folder for what is temporary. */
export async function writeHistory(name: string, evidence: RunEvidence): Promise<string> {
  const file = join(tmpdir(), `oncekey-history-${name}-${process.pid}.jsonl`);
  const { events, rows, policyOf, leftovers, raced, isComplete, unasked } = evidence;
  const targets = new Set(
    [...events, ...rows].flatMap((line) => ("target" in line ? [line.target] : [])),
  );
  const header: Header = {
    kind: "header",
    leftovers,
    raced,
    isComplete,
    unasked,
    policies: Object.fromEntries([...targets].map((target) => [target, policyOf(target)])),
  };
  await writeLines(file, [header, ...events, ...rows]);
  return file;
}

/** @throws RangeError for a file that does not begin with what was promised: it cannot be judged as it was. */
export async function readHistory(file: string): Promise<RunEvidence> {
  const [header, ...lines] = await readLines<Line>(file);
  if (header?.kind !== "header")
    throw new RangeError("it does not begin with a header that names the promises");
  const { policies, leftovers, raced, isComplete, unasked } = header;
  return {
    events: lines.filter((line) => line.kind !== "header" && !isRow(line)),
    rows: lines.filter(isRow),
    leftovers,
    raced,
    isComplete,
    unasked,
    policyOf(target) {
      const policy = policies[target];
      if (policy === undefined) throw new RangeError(`its header has no ${target}`);
      return policy;
    },
  };
}

function isRow(line: Line): line is Row {
  return ROWS.has(line.kind);
}
