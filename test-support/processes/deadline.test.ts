import { expect, test } from "vitest";
import { until, within } from "./deadline.ts";

test("within resolves as the event does", async () => {
  expect(await within(Promise.resolve(1), { what: "an answer" })).toBe(1);
  const refused = within(Promise.reject(new Error("refused")), { what: "an answer" });
  await expect(refused).rejects.toThrow("refused");
});

test("within names what did not happen", async () => {
  const never = new Promise<void>(() => undefined);
  const late = within(never, { what: "the server to end", patienceMs: 1 });
  await expect(late).rejects.toThrow("waited 1 ms for the server to end");
});

test("until asks until there is an answer", async () => {
  const answers = [undefined, false as const, 3];
  expect(await until(() => answers.shift(), { what: "an answer" })).toBe(3);
  expect(answers).toEqual([]);
});

test("until names what did not happen, as it is when the time is over", async () => {
  let asked = 0;
  const limit = { what: () => `an answer to ${asked} questions`, patienceMs: 0 };
  const late = until(() => ((asked += 1), false as const), limit);
  await expect(late).rejects.toThrow(/waited 0 ms for an answer to \d+ questions/);
});
