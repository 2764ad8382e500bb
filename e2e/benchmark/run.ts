/** `bench`: what a request costs with Oncekey, with its peers and without either, in one interleaved run. */
import { describeCommit } from "../chaos/page.ts";
import { countTrips } from "./counts.ts";
import type { Count } from "./counts.ts";
import { openLab } from "./lab.ts";
import type { MeasuredServer } from "./lab.ts";
import { profile } from "./profile.ts";
import { showProgress } from "./progress.ts";
import { runRounds } from "./rounds.ts";
import type { Slice } from "./rounds.ts";
import { readSettings, USAGE } from "./settings.ts";
import type { Plan } from "./settings.ts";
import { runStorms } from "./storm.ts";
import type { StormRound } from "./storm.ts";
import type { SubjectName } from "./subjects.ts";
import { noiseOf, summarise } from "./summary.ts";
import { countTable, kindTables, spreadText, stormRatios, stormTable } from "./table.ts";

const settings = readSettings(process.argv.slice(2));
switch (settings.command) {
  case "help":
    console.log(USAGE);
    break;
  case "run":
    await run(settings.plan);
    break;
  case "profile":
    await profile(settings.plan, settings.pages, showProgress());
    break;
  default:
    settings.command satisfies never;
}

async function run(plan: Plan): Promise<void> {
  const commit = describeCommit();
  const onProgress = showProgress();
  const lab = await openLab();
  try {
    const servers = new Map<SubjectName, MeasuredServer>();
    const counts: Count[] = [];
    for (const name of plan.subjects) {
      onProgress(0, 1, `starts ${name} and counts its round trips`);
      servers.set(name, await lab.start(name, await lab.database(name)));
      if (name !== "F0") counts.push(...(await countTrips(lab, name)));
    }
    const advisory = servers.get("advisory");
    onProgress(0, 1, "storms of duplicates");
    const storms = advisory === undefined ? [] : await runStorms(lab, advisory, plan.stormRounds);
    print(commit, { slices: await runRounds(lab, servers, plan, onProgress), storms, counts });
  } finally {
    await lab.stop();
  }
}

interface Measured {
  readonly slices: readonly Slice[];
  readonly storms: readonly StormRound[];
  readonly counts: readonly Count[];
}

function print(commit: string, { slices, storms, counts }: Measured): void {
  for (const text of kindTables(summarise(slices))) console.log(`\n${text}`);
  if (counts.length > 0) console.log(`\n${countTable(counts)}`);
  if (storms.length > 0) {
    const { toBareStorm, beside } = stormRatios(storms);
    console.log(`\n${stormTable(storms)}`);
    console.log(`storm ${spreadText(toBareStorm)}, bystanders ${spreadText(beside)}`);
  }
  const { median, noisySlices } = noiseOf(slices);
  console.log(`${commit}; noise ${median.toFixed(2)}, noisy ${noisySlices.toFixed(2)}`);
}
