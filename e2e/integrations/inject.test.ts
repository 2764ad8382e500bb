/** The test that the guide on `app.inject` shows, run as it stands there. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it, onTestFinished } from "vitest";
import { withOrders } from "./orders.ts";

const GUIDE = new URL("../../docs/guides/testing-handlers.md", import.meta.url);
const orders = withOrders();

it("the example of the guide on app.inject passes, and leaves one order", async () => {
  await orders().pool.query("alter table orders alter sku drop not null");
  const guide = await readFile(GUIDE, "utf8");
  const [, code = ""] = /^```ts\n(.*?)^```$/ms.exec(guide) ?? [];
  // Beside the package's own files, so that it may import what they may.
  const folder = await mkdtemp(join(import.meta.dirname, "../node_modules/.inject-guide-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "inject.mjs");
  await writeFile(file, code);
  const env = { ...process.env, DATABASE_URL: orders().url };
  await promisify(execFile)(process.execPath, ["--conditions=@oncekey/source", file], { env });
  expect(await orders().count()).toBe(1);
});
