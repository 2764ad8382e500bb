/** `bench`: what a request costs with Oncekey, with its peers and without either, in one interleaved run. */
import { describeCommit } from "@oncekey/test-support/reporting/page";
import { measureFloor } from "./floor/floor.ts";
import { printFloor, writeFloor } from "./floor/floor-page.ts";
import { measureGrowth } from "./growth.ts";
import { growthTable, writeGrowth } from "./growth-page.ts";
import { measure } from "./measurement.ts";
import { writeReport } from "./page.ts";
import { profile, writeProfile } from "./profile.ts";
import { showProgress } from "./progress.ts";
import { readSettings, USAGE } from "./settings.ts";
import { printMeasurement } from "./terminal.ts";

const words = process.argv.slice(2);
const { command, plan, pages, rows } = readSettings(words);
const said = ["npx -y pnpm@12 bench", ...words].join(" ");
switch (command) {
  case "help":
    console.log(USAGE);
    break;
  case "profile": {
    const commit = describeCommit();
    const profiled = await profile(plan, showProgress());
    console.log(profiled.sections.join("\n"));
    if (pages !== undefined) await writeProfile(profiled, { command: said, commit }, pages);
    break;
  }
  case "run": {
    const commit = describeCommit();
    const measurement = await measure(plan, showProgress());
    printMeasurement(measurement);
    if (pages !== undefined) await writeReport(measurement, { command: said, commit }, pages);
    break;
  }
  case "growth": {
    const commit = describeCommit();
    const growth = await measureGrowth(rows, plan, showProgress());
    console.log(growthTable(growth));
    if (pages !== undefined) await writeGrowth(growth, { command: said, commit }, pages);
    break;
  }
  case "floor": {
    const commit = describeCommit();
    const floor = await measureFloor(plan, showProgress());
    printFloor(floor);
    if (pages !== undefined) await writeFloor(floor, { command: said, commit }, pages);
    break;
  }
  default:
    command satisfies never;
}
