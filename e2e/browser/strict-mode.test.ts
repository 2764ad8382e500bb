import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { buildFiles } from "../shop/page-files.ts";
import { shopperOf } from "../shop/shopper.ts";
import { withCheckout } from "./with-checkout.ts";

const root = fileURLToPath(new URL("page", import.meta.url));
const open = withCheckout({
  files: await buildFiles(root, { strict: "strict.html" }),
});

test("in StrictMode, effects that pay and abort in their clean-up charge the card once, also if one unmounts", async () => {
  const { checkout, newContext } = await open();
  const context = await newContext();
  const page = await context.newPage();
  const keys: string[] = [];
  const { promise: mayGo, resolve: go } = Promise.withResolvers<void>();
  await page.route("**/api/orders", async (route) => {
    keys.push(route.request().headers()["idempotency-key"] ?? "");
    await mayGo;
    await route.continue();
  });
  const sent = page.waitForRequest("**/api/orders");
  await page.goto(new URL("/strict.html", checkout.origin).href);
  await sent;
  expect(await page.locator("body").getAttribute("data-effects"), "twice each").toBe("4");
  await page.getByRole("button", { name: "Unmount one" }).click();
  expect(await page.getByRole("status").allInnerTexts()).toEqual(["sending"]);
  go();
  await page.getByRole("status").filter({ hasText: "done" }).waitFor();
  const [cookie] = await context.cookies();
  const counts = await checkout.countCharges(shopperOf(`${cookie?.name}=${cookie?.value}`) ?? "");
  expect(counts.map(({ charges }) => charges)).toEqual([1]);
  expect(keys).toHaveLength(1);
});
