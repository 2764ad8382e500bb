/** The arguments of `test:mutation`. */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { PAGES } from "@oncekey/test-support/reporting/page";

export interface Settings {
  /** Files or folders. Empty: every area. */
  readonly paths: readonly string[];
  /** Whether only lines that differ from main are mutated. */
  readonly isChanged: boolean;
  readonly mutators: "all" | "code" | "sql";
  /** Whether only the open survivors of the kept results are run again, against all tests of their area. */
  readonly isSurvivorsOnly: boolean;
  /** Whether the survivors meet the further tests of their area as well. */
  readonly hasFurther: boolean;
  /** One mutant in this many is run. 1: every mutant. */
  readonly sample: number;
  /** No folder, and no file of SQL, is begun after this time. */
  readonly minutes: number;
  /** Whether only the page is written, from the results that are kept. */
  readonly isPageOnly: boolean;
  /** Folder of the page and the results behind it. */
  readonly pages: string;
}

export const USAGE = `test:mutation [PATH…]

  PATH            a file or folder of an area; default: every area
  --changed       mutates only the lines that differ from main, and writes no page
  --mutators NAME code (Stryker), sql (statements of the store) or all; default: all
  --survivors     runs all tests of an area against the kept survivors of its code alone
  --near          leaves out the further tests of an area, which take longest
  --sample N      runs about one mutant in N of each file, the same ones each time; default: 1
  --minutes N     begins no further folder or file of SQL after N minutes; default: no limit
  --page          writes the page from the kept results, and runs nothing
  --pages FOLDER  of the page and the results behind it; default: docs/reports`;

const MUTATORS = ["all", "code", "sql"] as const;

/** @throws TypeError or RangeError if an option is unknown or has a wrong value. */
export function readSettings(words: readonly string[]): Settings {
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      changed: { type: "boolean", default: false },
      mutators: { type: "string", default: "all" },
      survivors: { type: "boolean", default: false },
      near: { type: "boolean", default: false },
      sample: { type: "string", default: "1" },
      minutes: { type: "string", default: "Infinity" },
      page: { type: "boolean", default: false },
      pages: { type: "string", default: PAGES },
    },
  });
  const mutators = MUTATORS.find((name) => name === values.mutators);
  if (mutators === undefined)
    throw new RangeError(
      `--mutators must be one of ${MUTATORS.join(", ")}, got ${values.mutators}`,
    );
  const minutes = Number(values.minutes);
  if (!(minutes > 0))
    throw new RangeError(`--minutes must be a number above 0, got ${values.minutes}`);
  const sample = Number(values.sample);
  if (!Number.isInteger(sample) || sample < 1)
    throw new RangeError(`--sample must be an integer from 1, got ${values.sample}`);
  if (sample > 1 && values.survivors)
    throw new RangeError("--sample has no effect with --survivors, which runs them all");
  return {
    paths: positionals,
    isChanged: values.changed,
    mutators,
    isSurvivorsOnly: values.survivors,
    hasFurther: !values.near,
    sample,
    minutes,
    isPageOnly: values.page,
    pages: resolve(values.pages),
  };
}
