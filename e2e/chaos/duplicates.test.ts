import { expect, test } from "vitest";
import { withServers } from "./with-servers.ts";

const servers = withServers();

test("five hundred duplicates at once over two servers: one charge, five hundred equal answers", async () => {
  const { post, countCharges } = servers();
  const key = crypto.randomUUID();
  const shopper = crypto.randomUUID();
  const answers = await Promise.all(
    Array.from({ length: 500 }, () => post({ key, shopper, cart: "cart" })),
  );
  expect(new Set(answers.map(({ status, body }) => `${status} ${body}`)).size).toBe(1);
  expect(answers[0]?.status).toBe(201);
  expect(new Set(answers.map(({ server }) => server))).toEqual(new Set(["A", "B"]));
  expect(answers.filter(({ isReplayed }) => !isReplayed)).toHaveLength(1);
  expect(await countCharges(shopper)).toEqual([{ via: "oncekey", cart: "cart", charges: 1 }]);
});
