/** Where a history goes in which a promise was broken. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RunReport } from "../rig/run.ts";
import { writeLines } from "./history.ts";

/** Writes it out whole, and says where. */
export async function keepHistory({ seed, evidence }: RunReport): Promise<void> {
  const file = join(tmpdir(), `oncekey-history-${seed}-${process.pid}.jsonl`);
  await writeLines(file, [...evidence.events, ...evidence.rows]);
  console.log(`the whole history: ${file} (test:faults --judge)`);
}
