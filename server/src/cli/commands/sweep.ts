/** `oncekey sweep`: deletes expired records and responses in batches. */
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { readSweepLag } from "../../store/maintenance/records.ts";
import { openStoreParts } from "../../store/store-parts.ts";
import type { UndecidedCrash } from "../../store/maintenance/end-crashes.ts";
import { sweepBatch } from "../../store/maintenance/sweep-batch.ts";
import { DEFAULT_BATCH_SIZE, sweepAll } from "../../store/maintenance/sweeper.ts";
import { databaseCommand, withPool } from "../io/database.ts";
import { count, printable, printLine, tell } from "../io/print.ts";

export function sweepCommand(): CommandUnknownOpts {
  return databaseCommand("sweep")
    .description(
      "delete expired records and responses, a batch at a time, beside the servers that do so too",
    )
    .action((options) =>
      withPool(options, async ({ pool, schema }) => {
        const { expired } = await readSweepLag(pool, schema);
        const parts = await openStoreParts(pool, schema);
        const progress = createProgress(expired);
        const {
          deleted,
          buried,
          droppedDays = 0,
        } = await sweepAll(async (...batch) => {
          const swept = await sweepBatch(parts, ...batch, announce);
          progress.add(swept.deleted + swept.buried);
          return swept;
        }, DEFAULT_BATCH_SIZE);
        progress.end();
        printLine(`deleted ${count(deleted, "expired record")}`);
        if (buried > 0) printLine(`deleted ${count(buried, "expired response")}, kept their keys`);
        if (droppedDays > 0) printLine(`dropped the partitions of ${count(droppedDays, "day")}`);
        // Another process may have deleted the rest, or be about to.
        const left = deleted + buried < expired ? await readSweepLag(pool, schema) : undefined;
        if (left !== undefined && left.expired > 0) {
          const records = count(left.expired, "expired record");
          tell(`left ${records}: another process is sweeping, or handlers hold them`);
        }
      }),
    );
}

function announce({ key, scope, target }: UndecidedCrash): void {
  const record = `${key} of ${printable(scope)}, ${printable(target)}`;
  tell(`crashed and never decided: ${record}; deleted, and its key runs again`);
}

interface Progress {
  add(rows: number): void;
  end(): void;
}

/** On a terminal one line that counts up; in a log a line for each tenth. */
function createProgress(total: number): Progress {
  const { isTTY } = process.stderr;
  const steps = isTTY ? 100 : 10;
  let done = 0;
  let shown = 0;
  return {
    add(rows) {
      done += rows;
      const step = Math.floor((done / Math.max(done, total, 1)) * steps);
      if (step === shown) return;
      shown = step;
      const line = `swept ${done.toLocaleString("en-US")} of ${count(total, "expired record")}`;
      process.stderr.write(isTTY ? `\r${line}` : `${line}\n`);
    },
    end() {
      if (isTTY && shown > 0) process.stderr.write("\r\u001B[K");
    },
  };
}
