import { expect, test } from "vitest";
import { withServers } from "./with-servers.ts";

const servers = withServers();
const KILLS = 20;
const LANES = 4;
/** Time from before the handler's start until after its reply is on the way. */
const SPAN_MS = 240;

test("a server killed at any moment of a payment: one charge, and the stored answer is the one that came", async () => {
  const { post, countCharges, ready } = servers();
  let kills = 0;
  let deaths = 0;
  const lane = async (): Promise<void> => {
    while (kills < KILLS) {
      const afterMs = (kills * SPAN_MS) / KILLS + Math.random() * (SPAN_MS / KILLS);
      kills += 1;
      await ready();
      const shopper = crypto.randomUUID();
      const request = { key: crypto.randomUUID(), shopper, cart: "cart" };
      const first = await post({ ...request, fault: { kind: "kill-server", afterMs } }).catch(
        () => undefined,
      );
      const answer = await retry(() => post(request));
      expect(answer.status).toBe(201);
      if (first === undefined) deaths += 1;
      else expect(answer.body).toBe(first.body);
      const replay = await retry(() => post(request));
      expect(replay).toMatchObject({ isReplayed: true, body: answer.body });
      expect(await countCharges(shopper)).toEqual([{ via: "oncekey", cart: "cart", charges: 1 }]);
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  expect(deaths).toBeGreaterThan(KILLS / 4);
});

// Another lane may kill the server that this request is on; the key makes trying again safe.
async function retry<Result>(send: () => Promise<Result>): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await send();
    } catch (error) {
      if (attempt === 10) throw error;
    }
  }
}
