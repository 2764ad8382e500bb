import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const redirect =
  (status: number, location: string): Reply =>
  (response) =>
    response.writeHead(status, { location }).end();
const plain =
  (status: number): Reply =>
  (response) =>
    response.writeHead(status, { "content-type": "application/json" }).end("{}");

describe("a refusal at the end of a redirect", () => {
  it("that does not echo the key is no reason to take a new one: the order may be placed", async () => {
    await withServer([redirect(303, "/receipt"), plain(404), done], async ({ url, seen }) => {
      const { order } = createShop(url);
      const first = await order.run(cart);
      expect(first).toMatchObject({
        kind: "unknown",
        error: { code: "outcome_unknown", status: 404, nextAction: "resume" },
      });
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: first.key });
      expect(seen.map(({ method }) => method)).toEqual(["POST", "GET", "POST"]);
    });
  });

  it("that echoes the key is the refusal of the request itself", async () => {
    await withServer([redirect(307, "/moved"), json(402, {})], async ({ url }) => {
      expect(await createShop(url).order.run(cart)).toMatchObject({
        kind: "rejected",
        error: { status: 402 },
      });
    });
  });

  it("that asks to be repeated repeats the request itself, under its key", async () => {
    const replies = [redirect(303, "/receipt"), plain(503), done];
    await withServer(replies, async ({ url, seen }) => {
      const result = await createShop(url).order.run(cart);
      expect(result).toMatchObject({ kind: "done", attempts: 2 });
      expect([seen[0]?.key, seen[2]?.key]).toEqual([result.key, result.key]);
    });
  });
});

it("an echo at the end of a redirect does not show that the API itself echoes keys", async () => {
  const replies = [redirect(307, "/moved"), done, reset, plain(422)];
  await withServer(replies, async ({ url }) => {
    const { order } = createShop(url);
    expect(await order.run(cart)).toMatchObject({ kind: "done" });
    // If an API echoes keys, a 422 without the echo comes from a proxy.
    const second = await order.run({ ...cart, id: "second" });
    expect(second).toMatchObject({ kind: "rejected", attempts: 2, error: { status: 422 } });
  });
});

describe("a redirect that cannot be followed", () => {
  it.each([300, 303, 304])("%d without a location leaves the outcome unknown", async (status) => {
    await withServer([json(status, undefined)], async ({ url }) => {
      expect(await createShop(url).order.run(cart)).toMatchObject({
        kind: "unknown",
        attempts: 1,
        error: { code: "outcome_unknown", status },
      });
    });
  });

  it("because it leads in a circle is a network error, and tried again", async () => {
    await withServer([redirect(307, "/api/orders")], async ({ url }) => {
      const { order } = createShop(url, { attempts: 2 });
      expect(await order.run(cart)).toMatchObject({ kind: "unknown", attempts: 2 });
    });
  });
});
