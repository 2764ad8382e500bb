/** The generated page of the measurement, and its tables for the terminal. */
import { provenance, table } from "@oncekey/test-support/reporting/page";
import type { Measurement, Plan } from "./measurement.ts";

export function pageOf(
  measurements: readonly Measurement[],
  { calls }: Plan,
  commit: string,
  isLoaded: boolean,
): string {
  const note = isLoaded
    ? "> **Measured on a loaded machine.** Read the bytes; run the command again on a quiet machine for the times.\n\n"
    : "";
  return `# What the client costs

${provenance("npx -y pnpm@12 bench:client", commit)}

${note}One POST with 20 lines of JSON and a JSON answer, made without a network, so that the difference between two rows is the client's own. Times are medians of rounds of ${calls} calls; each round measures all rows one after the other. \`× fetch\` and \`× ky\` are medians of pairs of the same round. Bytes are everything that a call allocates, by V8's sampling heap profiler.

\`run\` writes the key and the request before the first byte leaves, and removes both after \`done\` (\`rememberMs: 0\`). In Chromium \`webStorage\` is the page's \`localStorage\` with a Web Lock for each run and a channel to other tabs. In Node the storage is in memory, without locks and channels.

${measurements.map(sectionOf).join("\n\n")}
`;
}

function sectionOf({ runtime, rounds, costs }: Measurement): string {
  return `## ${runtime}\n\n${costTable(costs)}\n\nMedians of ${rounds} rounds.`;
}

export function costTable(costs: Measurement["costs"]): string {
  const base = costs.find(({ subject }) => subject === "ky");
  const rows = costs.map(({ subject, us, overFetch, overKy, bytes }) => [
    `\`${subject}\``,
    us.toFixed(0),
    overFetch.toFixed(2),
    overKy.toFixed(2),
    (us - (base?.us ?? Number.NaN)).toFixed(0),
    (bytes / 1_000).toFixed(1),
  ]);
  const heads = ["", "µs a call", "× fetch", "× ky", "µs over ky", "kB allocated"];
  return table([heads, heads.map((_head, at) => (at === 0 ? "-" : "-:")), ...rows]);
}
