/** Prints a measurement to the terminal. */
import { loadavg } from "node:os";
import type { Measurement } from "./measurement.ts";
import { noiseOf, summarise } from "./summary.ts";
import { countTable, kindTables, spreadText, stormRatios, stormTable } from "./table.ts";

export function printMeasurement({ slices, storms, counts, skipped }: Measurement): void {
  for (const text of kindTables(summarise(slices))) console.log(`\n${text}`);
  if (counts.length > 0) console.log(`\n${countTable(counts)}`);
  if (storms.length > 0) {
    const { toBareStorm, beside } = stormRatios(storms);
    console.log(`\n${stormTable(storms)}\n`);
    console.log(`duplicates × the same 64 to the bare route: ${spreadText(toBareStorm)}`);
    console.log(`bystanders × those beside the bare route: ${spreadText(beside)}`);
  }
  for (const { name, reason } of skipped) console.log(`skipped ${name}: ${reason}`);
  const { median, noisySlices } = noiseOf(slices);
  const [noise, noisy] = [median, noisySlices].map((part) => Math.round(100 * part));
  console.log(
    `\nOthers used ${noise} % of the CPU in the median slice; ${noisy} % of the slices are noisy. Load ${loadavg()[0]?.toFixed(1)}.`,
  );
}
