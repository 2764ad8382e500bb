import { expect, test } from "vitest";
import { findViolations } from "./axe.ts";
import { withOperator } from "./with-operator.ts";

const openDesk = withOperator();

const PHONE = { viewport: { width: 390, height: 844 } };
const DESKTOP = { viewport: { width: 1280, height: 900 } };

test.each([
  ["phone", "light", PHONE],
  ["phone", "dark", PHONE],
  ["desktop", "light", DESKTOP],
  ["desktop", "dark", DESKTOP],
] as const)(
  "axe-core finds nothing wrong with the page on a %s, %s",
  async (_size, colorScheme, view) => {
    const { page, reported } = await openDesk({ ...view, colorScheme });
    await page.getByText("Live", { exact: true }).waitFor();
    const check = async (): Promise<void> => {
      expect(await findViolations(page)).toEqual([]);
      // Nothing is wider than the screen: tables scroll in a frame of their own.
      const isWider = await page.evaluate<boolean>(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth",
      );
      expect(isWider).toBe(false);
    };
    await check();
    await page.getByRole("link", { name: "crashed-charge" }).click();
    for (const summary of await page.locator("summary").all()) await summary.click();
    await check();
    await page.getByLabel("Idempotency key").fill("finished-order");
    await page.getByRole("button", { name: "Find" }).click();
    await page.getByRole("heading", { name: "finished-order" }).waitFor();
    await check();
    expect(reported).toEqual([]);
  },
);

test("a key is forgotten by clicking, with a reason, and the story names the decision", async () => {
  const { page, pool, logged, reported } = await openDesk();
  await page.getByRole("link", { name: "crashed-charge" }).click();
  await page.getByText("Forget this key").click();
  const form = page.locator("form", { has: page.getByRole("button", { name: "Forget the key" }) });
  await form.getByLabel("Reason").fill("ticket 4711: nothing was charged");
  await page.getByLabel("I have found out that the operation must run again").check();
  await page.getByRole("button", { name: "Forget the key" }).click();
  await page.getByText("The key was forgotten. The next request with it runs.").waitFor();
  await page.getByRole("heading", { name: "No record" }).waitFor();
  await page.getByText("Forgotten by Ada: ticket 4711: nothing was charged").waitFor();
  const { rows } = await pool.query("select key from oncekey.records where key = 'crashed-charge'");
  expect(rows).toEqual([]);
  const line = logged.find((one) => one.includes("a key was forgotten by hand")) ?? "{}";
  expect(JSON.parse(line)).toMatchObject({ by: "Ada", reason: "ticket 4711: nothing was charged" });
  expect(logged.join("")).not.toContain("crashed-charge");
  expect(reported).toEqual([]);
});

test("a key is resolved by clicking: the response is stored, audited and shown", async () => {
  const { page, pool, reported } = await openDesk();
  await page.getByRole("link", { name: "crashed-charge" }).click();
  await page.getByText("Resolve with a response").click();
  const form = page.locator("form", {
    has: page.getByRole("button", { name: "Store the response" }),
  });
  await form.getByLabel("Status").fill("201");
  await form.getByLabel("Body").fill('{ "charge": "ch_1" }');
  await form.getByLabel("Reason").fill("ticket 4712: the provider has the charge");
  await form.getByLabel("I have found out what the handler did").check();
  await form.getByRole("button", { name: "Store the response" }).click();
  await page.getByText("The response was stored. Every repeat gets it.").waitFor();
  await page.getByText("Finished", { exact: true }).waitFor();
  await page
    .getByText("Resolved by Ada with 201: ticket 4712: the provider has the charge")
    .waitFor();
  const { rows } = await pool.query<{ status: number; body: Buffer }>(
    "select status, body from oncekey.records where key = 'crashed-charge'",
  );
  expect(rows.map(({ status, body }) => [status, JSON.parse(String(body))])).toEqual([
    [201, { charge: "ch_1" }],
  ]);
  expect(await findViolations(page)).toEqual([]);
  expect(reported).toEqual([]);
});

test("a form without a reason or its box is not sent, and a running key has no form", async () => {
  const { page, url } = await openDesk();
  await page.getByRole("link", { name: "crashed-charge" }).click();
  const before = page.url();
  await page.getByText("Forget this key").click();
  await page.getByRole("button", { name: "Forget the key" }).click();
  expect(page.url()).toBe(before);
  await page.goto(`${url}/ops/keys/key?key=running-report`);
  await page.getByText("A handler works on this key.").waitFor();
  expect(await page.locator("form[method=post]").count()).toBe(0);
});

test("a key that looks like HTML is shown as text and leads to its page", async () => {
  const { page, reported } = await openDesk();
  const key = "<b>bold</b>\"'&";
  await page.getByRole("link", { name: key, exact: true }).click();
  expect(await page.getByRole("heading", { level: 1 }).textContent()).toBe(key);
  expect(await page.locator("main b").count()).toBe(0);
  expect(await page.getByLabel("Idempotency key").inputValue()).toBe(key);
  expect(reported).toEqual([]);
});

test("everything can be read without JavaScript", async () => {
  const { page } = await openDesk({ javaScriptEnabled: false });
  await page.getByText("As of the last load").waitFor();
  expect(await page.getByRole("link", { name: "crashed-charge" }).isVisible()).toBe(true);
  await page.getByLabel("Idempotency key").fill("finished-order");
  await page.getByRole("button", { name: "Find" }).click();
  await page.getByText("The response was stored.").waitFor();
  await page.getByText("/orders/7").waitFor();
});

test("figures and outcomes follow what happens, without a reload", async () => {
  const { page, pool, url, reported } = await openDesk();
  await page.getByText("Live", { exact: true }).waitFor();
  await pool.query("delete from oncekey.records where key = 'crashed-charge'");
  await fetch(`${url}/orders`, { method: "POST" });
  await page.getByRole("link", { name: "crashed-charge" }).waitFor({ state: "detached" });
  await page.getByText("refused", { exact: true }).waitFor();
  expect(reported).toEqual([]);
});
