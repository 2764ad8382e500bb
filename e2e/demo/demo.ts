/** `demo`: everything a shop needs, started from nothing; the story as a table, then the page. `--once` ends after the table. */
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import { startCheckout } from "../shop/checkout.ts";
import { watchLaunchers } from "./launchers.ts";
import { isOnce, tellStory } from "./story.ts";
import { buildPage } from "./page-files.ts";
import { formatHead, formatRow, formatVerdict } from "./table.ts";

/** Port of the page, unless it is taken. */
const PORT = 4040;

const stack: (() => Promise<void>)[] = [];
let isEnding = false;

process.once("SIGINT", () => void end(0));
process.once("SIGTERM", () => void end(0));
process.once("SIGHUP", () => void end(0));
await watchLaunchers(() => void end(0));
try {
  await main(process.argv.includes("--once"));
} catch (error) {
  if (!isEnding) {
    console.error(error);
    await end(1);
  }
}

async function main(once: boolean): Promise<void> {
  console.log("Starting PostgreSQL 18 and two servers of a small shop …\n");
  const postgres = await startPostgres();
  stack.push(postgres.stop);
  const checkout = await startCheckout({
    databaseUrl: postgres.url("postgres"),
    port: PORT,
    files: await buildPage(),
  });
  stack.push(checkout.stop);

  console.log(formatHead());
  const rows = await tellStory(checkout, (row) => console.log(formatRow(row)));
  console.log(`\n${formatVerdict(rows)}`);
  if (once) return end(rows.every(isOnce) ? 0 : 1);
  console.log(`\nNow try it yourself: ${checkout.origin}\nCtrl-C stops everything.`);
  return undefined;
}

/** Ends what was started, last first. */
async function end(code: number): Promise<void> {
  if (isEnding) return;
  isEnding = true;
  for (const stop of stack.toReversed()) await stop();
  process.exit(code);
}
