/** The story of the docs, played again: its page shows what happens. */
import { readFile } from "node:fs/promises";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { launchBrowser } from "@oncekey/test-support/browser/browser";
import { expect, it, onTestFinished } from "vitest";
import { startCheckout } from "../../shop/checkout.ts";
import { PAGE, readBlocks } from "./blocks.ts";
import { buildTrainPage, mask, playStory } from "./play.ts";

const database = withDatabase({ from: "empty" });

it("docs/story.md shows the output of a run, ids and times aside", async () => {
  const [checkout, chromium] = await Promise.all([
    buildTrainPage().then((files) => startCheckout({ databaseUrl: database.url, files })),
    launchBrowser(),
  ]);
  onTestFinished(async () => {
    await chromium.close();
    await checkout.stop();
  });
  const story = await playStory({
    origin: checkout.origin,
    databaseUrl: database.url,
    newContext: (options) => chromium.browser.newContext(options),
  });
  const shown = readBlocks(await readFile(PAGE, "utf8"));
  expect([...shown.keys()]).toEqual([...story.keys()]);
  for (const [name, output] of story) {
    const advice = `${name}: if the output is right, run npx -y pnpm@12 story`;
    expect(mask(shown.get(name) ?? ""), advice).toBe(mask(output));
  }
});
