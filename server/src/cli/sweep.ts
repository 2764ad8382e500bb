import { setTimeout as sleep } from "node:timers/promises";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { readSweepLag } from "../store/admin.ts";
import { createStoreParts } from "../store/store-parts.ts";
import type { StoreParts } from "../store/store-parts.ts";
import { sweepExpired } from "../store/sweep.ts";
import { databaseCommand, withPool } from "./database.ts";
import { count, printLine, tell } from "./print.ts";

export function sweepCommand(): CommandUnknownOpts {
  return databaseCommand("sweep")
    .description("delete expired records, a batch at a time, beside the servers that do so too")
    .action((options) =>
      withPool(options, async ({ pool, schema }) => {
        const { expired } = await readSweepLag(pool, schema);
        const deleted = await sweepAll(createStoreParts(pool, schema), createProgress(expired));
        printLine(`deleted ${count(deleted, "expired record")}`);
        // Another process may have deleted the rest, or be about to.
        const left = deleted < expired ? await readSweepLag(pool, schema) : undefined;
        if (left !== undefined && left.expired > 0) {
          const records = count(left.expired, "expired record");
          tell(`left ${records}: another process is sweeping, or handlers hold them`);
        }
      }),
    );
}

// As the servers do it: some milliseconds of work at a time, and between two batches requests go first.
const BATCH_SIZE = 1_000;
const PAUSE_MS = 20;

async function sweepAll(parts: StoreParts, progress: Progress): Promise<number> {
  for (let total = 0; ;) {
    const deleted = await sweepExpired(parts, BATCH_SIZE);
    total += deleted;
    progress.add(deleted);
    if (deleted < BATCH_SIZE) {
      progress.end();
      return total;
    }
    await sleep(PAUSE_MS);
  }
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
      const line = `deleted ${done.toLocaleString("en-US")} of ${count(total, "expired record")}`;
      process.stderr.write(isTTY ? `\r${line}` : `${line}\n`);
    },
    end() {
      if (isTTY && shown > 0) process.stderr.write("\r\u001B[K");
    },
  };
}
