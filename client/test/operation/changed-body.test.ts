import { createClient, memoryStorage } from "@oncekey/client";
import type { Operation, OperationStorage } from "@oncekey/client";
import { omitBody, sealBody } from "@oncekey/client/stored-body";
import type { StoredBody } from "@oncekey/client/stored-body";
import { describe, expect, it } from "vitest";
import { done, json, problem, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

interface Card {
  readonly number: string;
}
const down = json(503, {});

describe("another body for the same operation, after a reload", () => {
  const conflict = problem(422, "idempotency_conflict");
  const lost = (): never => {
    throw new Error("the secret is lost");
  };
  const card = { number: "4242424242424242" };
  const other = { number: "4000" };

  function openShop(prefix: string, storage: OperationStorage, storedBody: StoredBody) {
    const client = createClient({
      ky: { prefix },
      attempts: 1,
      rememberMs: 0,
      storage,
      storedBody,
      onWarning() {},
    });
    const pay: Operation<Card, unknown> = client.operation("pay", {
      request: ({ number }: Card) => ({ path: "payments", json: { number } }),
      instance: () => "one",
      identity: () => "the same order",
    });
    return { client, pay };
  }

  it.each([
    ["omitBody, a refusal", () => omitBody(), conflict],
    ["a secret that is lost", () => sealBody({ seal: (body) => body, open: lost }), conflict],
  ])("keeps the key of what was done: %s", async (_name, make, reply) => {
    const storage = memoryStorage();
    await withServer([down, reply, down, reply, reply, done], async ({ url, seen }) => {
      const { key } = await openShop(url, storage, make()).pay.run(card);
      const { client, pay } = openShop(url, storage, make());
      const refused = { kind: "rejected", key, error: { code: "earlier_operation_exists" } };
      expect(await pay.run(other)).toMatchObject(refused);
      expect(await pay.run(other)).toMatchObject({ kind: "unknown", key });
      expect(await pay.run(other), "from this page").toMatchObject(refused);
      expect(await openShop(url, storage, make()).pay.run(other)).toMatchObject(refused);
      expect((await client.pending()).map((left) => left.key)).toEqual([key]);
      expect(await openShop(url, storage, make()).pay.run(card)).toMatchObject({
        kind: "done",
        key,
      });
      expect(new Set(seen.map((one) => one.key)).size).toBe(1);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });

  it("is settled by a refusal of its own, with the key echoed", async () => {
    const storage = memoryStorage();
    await withServer([down, json(402, {}), done], async ({ url }) => {
      const { key } = await openShop(url, storage, omitBody()).pay.run(card);
      const { pay } = openShop(url, storage, omitBody());
      expect(await pay.run(other)).toMatchObject({ kind: "rejected", key, error: { status: 402 } });
      expect((await pay.run(other)).key).not.toBe(key);
    });
  });

  it("that is refused before the key is looked at keeps it: the first request may have arrived", async () => {
    const storage = memoryStorage();
    const invalid: Reply = (response) =>
      response.writeHead(422, { "content-type": "application/json" }).end("{}");
    await withServer([down, invalid, invalid, conflict, done], async ({ url, seen }) => {
      const { key } = await openShop(url, storage, omitBody()).pay.run(card);
      const { client, pay } = openShop(url, storage, omitBody());
      const refused = { kind: "rejected", key, error: { status: 422 }, earlier: { key } };
      expect(await pay.run(other)).toMatchObject(refused);
      expect(await pay.run({ number: "5" })).toMatchObject(refused);
      expect((await client.pending()).map((left) => left.key)).toEqual([key]);
      expect(await pay.run({ number: "6" })).toMatchObject({
        kind: "rejected",
        key,
        error: { code: "earlier_operation_exists" },
      });
      expect(await openShop(url, storage, omitBody()).pay.run(card)).toMatchObject({
        kind: "done",
        key,
      });
      expect(new Set(seen.map((one) => one.key)).size).toBe(1);
    });
  });
});
