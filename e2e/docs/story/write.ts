/** `story`: plays the story on a real database and browser, and writes its output into `docs/story.md`. */
import { readFile, writeFile } from "node:fs/promises";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import { startCheckout } from "../../shop/checkout.ts";
import { PAGE, writeBlocks } from "./blocks.ts";
import { buildTrainPage, playStory } from "./play.ts";

const postgres = await startPostgres();
const databaseUrl = postgres.url("postgres");
const checkout = await startCheckout({ databaseUrl, files: await buildTrainPage() });
const { browser, close } = await launchBrowser();
const story = await playStory({
  origin: checkout.origin,
  databaseUrl,
  newContext: (options) => browser.newContext(options),
});
await writeFile(PAGE, writeBlocks(await readFile(PAGE, "utf8"), story));
await close();
await checkout.stop();
await postgres.stop();
