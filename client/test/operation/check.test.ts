import { createClient, memoryStorage } from "@oncekey/client";
import type { RunResult } from "@oncekey/client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply, Seen } from "../support/server.ts";

const asking = { attempts: 1, statusCheck: true };
const missing = problem(404, "idempotency_not_found");
const replay = json(201, { id: 1 }, { "idempotent-replayed": "true" });

const onlyIfStored = ({ headers }: Seen) => headers["idempotency-only-if-stored"];

function checkOf<Value>(result: RunResult<Value> | undefined) {
  if (result?.kind !== "unknown" || result.check === undefined) throw new Error(result?.kind);
  return result.check;
}

afterEach(() => vi.useRealTimers());

describe("check", () => {
  it("asks for what is stored, with the same key and bytes, and settles the operation by it", async () => {
    await withServer([reset, replay], async ({ url, seen }) => {
      const { order, client } = createShop(url, asking);
      const first = await order.run(cart);
      expect(await checkOf(first)()).toMatchObject({
        kind: "done",
        key: first.key,
        value: { id: 1 },
        replayed: true,
      });
      expect(seen.map(onlyIfStored)).toEqual([undefined, "true"]);
      expect(seen[1]).toMatchObject({ key: first.key, body: seen[0]?.body, path: seen[0]?.path });
      expect(await client.pending()).toEqual([]);
    });
  });

  it("that finds a stored refusal rejects the operation", async () => {
    const declined = json(402, { message: "declined" }, { "idempotent-replayed": "true" });
    await withServer([reset, declined], async ({ url }) => {
      const first = await createShop(url, asking).order.run(cart);
      expect(await checkOf(first)()).toMatchObject({
        kind: "rejected",
        error: { message: "declined", status: 402 },
      });
    });
  });

  it("that finds nothing returns found: false and keeps the key: a request may still be on its way", async () => {
    await withServer([reset, missing, done], async ({ url, seen }) => {
      const { order, client } = createShop(url, asking);
      const first = await order.run(cart);
      const second = await checkOf(first)();
      expect(second).toMatchObject({
        kind: "unknown",
        key: first.key,
        found: false,
        error: { code: "idempotency_not_found", nextAction: "resume" },
      });
      expect((await client.pending()).map(({ key }) => key)).toEqual([first.key]);
      expect(second.kind === "unknown" && (await second.resume())).toMatchObject({ kind: "done" });
      expect(seen.map(onlyIfStored)).toEqual([undefined, "true", undefined]);
    });
  });

  it("polls for as long as the first request runs", async () => {
    const running = problem(409, "idempotency_in_flight");
    await withServer([reset, running, running, replay], async ({ url, seen }) => {
      const { order } = createShop(url, asking);
      const store = order.observe(cart);
      const kinds: string[] = [];
      const first = await order.run(cart);
      store.subscribe(() => kinds.push(store.getState().kind));
      expect(await checkOf(first)()).toMatchObject({ kind: "done", attempts: 1 });
      expect(seen.slice(1).map(onlyIfStored)).toEqual(["true", "true", "true"]);
      expect(new Set(kinds)).toEqual(new Set(["checking", "settled"]));
    });
  });

  it.each([
    ["after 25 hours", 25 * 3_600_000],
    ["after the clock was set back", -2 * 3_600_000],
  ])("comes first for a key that is too old to be sent again: %s", async (_name, passedMs) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    await withServer([reset, replay], async ({ url, seen }) => {
      const { order } = createShop(url, asking);
      const { key } = await order.run(cart);
      vi.setSystemTime(Date.now() + passedMs);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key, value: { id: 1 } });
      expect(seen.map(onlyIfStored)).toEqual([undefined, "true"]);
    });
  });

  it("that finds nothing of a key that is too old leaves giving up as the way out", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    const storage = memoryStorage();
    await withServer([reset, missing, done], async ({ url, seen }) => {
      const { order } = createShop(url, { ...asking, storage });
      const { key } = await order.run(cart);
      vi.setSystemTime(Date.now() + 25 * 3_600_000);
      const old = await order.run(cart);
      expect(old).toMatchObject({
        kind: "unknown",
        key,
        found: false,
        canResume: false,
        error: { code: "idempotency_key_expired" },
      });
      const [name = ""] = await storage.getAllKeys();
      expect(await storage.getItem(name), "its body is gone").not.toContain("apple");
      expect(await order.run(cart)).toMatchObject({ canResume: false, attempts: 0 });
      expect(seen).toHaveLength(2);
      if (old.kind === "unknown") await old.forget();
      expect((await order.run(cart)).kind).toBe("done");
    });
  });

  it("is at hand after a reload", async () => {
    const storage = memoryStorage();
    await withServer([reset, replay], async ({ url, seen }) => {
      await createShop(url, { ...asking, storage }).order.run(cart);
      const [pending] = await createShop(url, { ...asking, storage }).client.pending();
      expect(await pending?.check?.()).toMatchObject({ kind: "done" });
      expect(onlyIfStored(seen[1] as Seen)).toBe("true");
    });
  });

  it("is one request however often it is asked, and no answer for a resume of the same moment", async () => {
    const slow =
      (reply: Reply): Reply =>
      (response, seen) =>
        setTimeout(() => reply(response, seen), 10);
    await withServer([reset, slow(missing), slow(done)], async ({ url, seen }) => {
      const first = await createShop(url, asking).order.run(cart);
      const check = checkOf(first);
      const [one, two, resumed] = [check(), check(), first.kind === "unknown" && first.resume()];
      expect(one).toBe(two);
      expect(await one).toMatchObject({ kind: "unknown", found: false });
      expect(await resumed).toMatchObject({ kind: "done", key: first.key });
      expect(seen.map(onlyIfStored)).toEqual([undefined, "true", undefined]);
    });
  });

  it("about one request does not settle another request that was sent under its key since", async () => {
    const conflict = problem(422, "idempotency_conflict");
    const changed = { ...cart, lines: ["pear"] };
    await withServer([reset, reset, conflict, replay], async ({ url, seen }) => {
      const { order, client } = createShop(url, { ...asking, onChange: "hold" });
      const first = await order.run(cart);
      await order.run(changed);
      expect(await checkOf(first)()).toMatchObject({
        kind: "rejected",
        earlier: { key: first.key },
      });
      expect((await client.pending()).map(({ key }) => key)).toEqual([first.key]);
      expect(await order.run(changed)).toMatchObject({ kind: "done", key: first.key });
      expect(seen.map(({ body }) => body.includes("pear"))).toEqual([false, true, false, true]);
    });
  });

  it("is there only where the API is known to answer it", async () => {
    const storage = memoryStorage();
    await withServer([reset], async ({ url }) => {
      const { order, client } = createShop(url, { attempts: 1, storage });
      expect(await order.run(cart)).not.toHaveProperty("check");
      expect((await client.pending())[0]).not.toHaveProperty("check");
    });
  });
});

describe("statusCheck", () => {
  const old = 25 * 3_600_000;

  it.each([
    ["is on by default for server: 'oncekey'", { server: "oncekey" }, {}, true],
    ["is off by default", {}, {}, false],
    [
      "may be switched off for server: 'oncekey'",
      { server: "oncekey", statusCheck: false },
      {},
      false,
    ],
    ["may be switched off for one operation", { server: "oncekey" }, { statusCheck: false }, false],
    ["may be switched on for one operation", {}, { statusCheck: true }, true],
  ] as const)("%s", async (_name, options, own, isOn) => {
    vi.useFakeTimers({ toFake: ["Date"] });
    await withServer([reset, replay], async ({ url, seen }) => {
      const client = createClient({ ky: { prefix: url }, attempts: 1, onWarning() {}, ...options });
      const order = client.operation("order", {
        request: () => ({ path: "orders", json: {} }),
        ...own,
      });
      const first = await order.run();
      const [pending] = await client.pending();
      expect([first, pending].map((one) => one !== undefined && "check" in one)).toEqual([
        isOn,
        isOn,
      ]);
      // A request that is too old to be sent is looked up.
      vi.setSystemTime(Date.now() + old);
      expect((await order.run()).kind).toBe(isOn ? "done" : "unknown");
      expect(seen.map(onlyIfStored)).toEqual(isOn ? [undefined, "true"] : [undefined]);
    });
  });
});
