import { afterEach, describe, expect, it, vi } from "vitest";
import type { ClientOptions } from "@oncekey/client";
import { cart, createShop } from "../support/shop.ts";
import { done, json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const refused = json(401, { detail: "expired" });
const seeOther: Reply = (response) => response.writeHead(303, { location: "/receipt" }).end();
const plain401: Reply = (response) => response.writeHead(401).end();

/** A shop whose credentials are renewed by the hook. */
function createMember(url: string, options: ClientOptions = {}) {
  let version = 1;
  const asked: unknown[] = [];
  const shop = createShop(url, {
    ky: {
      hooks: {
        beforeRequest: [({ request }) => request.headers.set("authorization", `v${version}`)],
      },
    },
    async onUnauthorized(refusal) {
      asked.push(refusal);
      await Promise.resolve();
      version += 1;
    },
    ...options,
  });
  return { ...shop, asked };
}

afterEach(() => vi.useRealTimers());

describe("a 401", () => {
  it("is handed to onUnauthorized, and then the same key and bytes are sent with renewed headers", async () => {
    await withServer([refused, done], async ({ url, seen }) => {
      const { order, asked } = createMember(url, { attempts: 1 });
      const result = await order.run(cart);
      expect(result).toMatchObject({ kind: "done", attempts: 2 });
      expect(asked).toEqual([{ status: 401, problem: { detail: "expired" }, key: result.key }]);
      expect(seen.map(({ headers, key, body }) => [headers.authorization, key, body])).toEqual([
        ["v1", result.key, '{"lines":["apple"]}'],
        ["v2", result.key, '{"lines":["apple"]}'],
      ]);
    });
  });

  it("that comes again counts: the hook is asked once in a run", async () => {
    await withServer([refused], async ({ url, seen }) => {
      const { order, asked } = createMember(url);
      expect(await order.run(cart)).toMatchObject({ kind: "rejected", error: { status: 401 } });
      expect([asked.length, seen.length]).toEqual([1, 2]);
      await order.run(cart);
      expect(asked.length).toBe(2);
    });
  });

  it("after a lost reply is renewed as well, and settled under the key that was kept", async () => {
    await withServer([reset, refused, done], async ({ url, seen }) => {
      const { order } = createMember(url);
      expect(await order.run(cart)).toMatchObject({ kind: "done", attempts: 3 });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
    });
  });

  it.each<[string, ClientOptions]>([
    ["says that they cannot be renewed", { onUnauthorized: () => false }],
    ["fails", { onUnauthorized: () => Promise.reject(new Error("no network")) }],
    [
      "takes longer than the deadline",
      { onUnauthorized: () => (vi.advanceTimersByTime(60_000), new Promise(() => {})) },
    ],
  ])("counts where the hook %s", async (name, options) => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    await withServer([refused], async ({ url, seen }) => {
      const { order, warnings } = createMember(url, options);
      expect(await order.run(cart)).toMatchObject({ kind: "rejected", error: { status: 401 } });
      expect(seen).toHaveLength(1);
      expect(warnings.map(({ code }) => code)).toEqual(
        name.startsWith("says") ? [] : ["callback_failed"],
      );
    });
  });

  it.each<[string, Reply[], string, number]>([
    ["did nothing, and neither did an attempt that never left", [refused], "rejected", 0],
    ["says nothing of a reply that got lost", [reset, refused], "unknown", 1],
    ["says nothing of a request that led to it", [seeOther, plain401], "unknown", 1],
  ])("%s", async (_name, replies, kind, left) => {
    await withServer(replies, async ({ url, seen }) => {
      let isGone = false;
      const refuse = () => {
        if (isGone) throw new Error("signed out");
      };
      const { order, client } = createShop(url, {
        attempts: 3,
        onUnauthorized: () => void (isGone = true),
        ky: { hooks: { beforeRequest: [refuse] } },
      });
      expect(await order.run(cart)).toMatchObject({ kind });
      expect(seen).toHaveLength(replies.length);
      expect(await client.pending()).toHaveLength(left);
    });
  });

  it("waits for a hook that takes seconds, up to the deadline of the run", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    await withServer([refused, done], async ({ url }) => {
      const onUnauthorized = async () => void (await vi.advanceTimersByTimeAsync(10_000));
      const { order, warnings } = createMember(url, { onUnauthorized });
      expect(await order.run(cart)).toMatchObject({ kind: "done", attempts: 2 });
      expect(warnings).toEqual([]);
    });
  });

  it("is not waited for any longer once the run is aborted", async () => {
    await withServer([refused], async ({ url, seen }) => {
      const controller = new AbortController();
      const { order, warnings } = createMember(url, {
        onUnauthorized: () => (controller.abort(), new Promise(() => {})),
      });
      const result = await order.run(cart, { signal: controller.signal });
      expect(result).toMatchObject({ kind: "rejected", error: { status: 401 } });
      expect([seen.length, warnings]).toEqual([1, []]);
    });
  });

  it("of four operations at once renews a single-use token once", async () => {
    const needsV2: Reply = (response, seen) =>
      (seen.headers.authorization === "v2" ? done : refused)(response, seen);
    await withServer([needsV2], async ({ url, seen }) => {
      const { order, asked } = createMember(url);
      const carts = ["a", "b", "c", "d"].map((id) => ({ ...cart, id }));
      const results = await Promise.all(carts.map(async (one) => order.run(one)));
      expect(results.map(({ kind }) => kind)).toEqual(["done", "done", "done", "done"]);
      expect([asked.length, seen.length]).toEqual([1, 8]);
    });
  });

  it("to a request that left before the token was renewed needs no renewal of its own", async () => {
    const late = Promise.withResolvers<void>();
    const slow: Reply = (response, seen) => late.promise.then(() => refused(response, seen));
    await withServer([slow, refused, done], async ({ url }) => {
      const { order, asked } = createMember(url);
      const first = order.run(cart);
      expect((await order.run({ ...cart, id: "second" })).kind).toBe("done");
      late.resolve();
      expect((await first).kind).toBe("done");
      expect(asked).toHaveLength(1);
    });
  });

  it("of a plain call refuses a key that the caller brought, unless it is a repeat", async () => {
    await withServer([refused], async ({ url }) => {
      const { client } = createShop(url);
      const [first, again] = [{ key: "mine" }, { key: "mine", repeat: true }];
      const refusal = { code: undefined, status: 401 };
      await expect(client.post("orders")).rejects.toMatchObject(refusal);
      await expect(client.post("orders", first)).rejects.toMatchObject(refusal);
      const unknown = { code: "outcome_unknown", status: 401 };
      await expect(client.post("orders", again)).rejects.toMatchObject(unknown);
    });
  });

  it("of a plain call is its result if the hook takes longer than the deadline", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
    await withServer([refused], async ({ url }) => {
      const hang = () => (vi.advanceTimersByTime(60_000), new Promise<void>(() => {}));
      const { client, warnings } = createMember(url, { onUnauthorized: hang });
      const refusal = { code: undefined, status: 401 };
      await expect(client.post("orders")).rejects.toMatchObject(refusal);
      expect(warnings).toMatchObject([
        { code: "callback_failed", message: "[oncekey] onUnauthorized failed" },
      ]);
    });
  });

  it("of a plain call is handed on in the same way", async () => {
    await withServer([refused, done], async ({ url, seen }) => {
      const { client } = createMember(url);
      expect((await client.post("orders", { key: "mine" })).status).toBe(201);
      expect(seen.map(({ key, headers }) => [key, headers.authorization])).toEqual([
        ["mine", "v1"],
        ["mine", "v2"],
      ]);
    });
  });
});

describe("a resumed operation whose credentials are refused", () => {
  const forbidden = json(403, { message: "forbidden" });
  // A gateway's refusal has no echo; that of an application behind the plugin may have one.
  const plain403: Reply = (response) => response.writeHead(403).end();
  const renew = async (): Promise<void> => undefined;
  const decline = async (): Promise<boolean> => false;
  const fail = async (): Promise<never> => Promise.reject(new Error("no session"));

  it.each<[string, Reply[], ClientOptions["onUnauthorized"]]>([
    ["401, and nothing renews", [refused], undefined],
    ["401, and the renewal declines", [refused], decline],
    ["401 without the echo, and the renewal declines", [plain401], decline],
    ["401, and the renewal throws", [refused], fail],
    ["401, renewed, 401", [refused, refused], renew],
    ["401, renewed, 403", [refused, forbidden], renew],
    ["401, renewed, 403 without the echo", [refused, plain403], renew],
    ["403", [forbidden], renew],
    ["403 without the echo", [plain403], decline],
  ])("stays unknown with its key: %s", async (_name, replies, onUnauthorized) => {
    await withServer([reset, ...replies, done], async ({ url, seen }) => {
      const { client, order } = createShop(url, { attempts: 1, onUnauthorized });
      const first = await order.run(cart);
      if (first.kind !== "unknown") throw new Error(first.kind);
      expect(await first.resume()).toMatchObject({ kind: "unknown", key: first.key });
      expect(await client.pending()).toMatchObject([{ key: first.key }]);
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: first.key });
      expect(new Set(seen.map(({ key }) => key))).toEqual(new Set([first.key]));
    });
  });

  it("stays unknown if the reply after the renewal is lost and the next attempt is refused", async () => {
    await withServer([refused, reset, refused, done], async ({ url, seen }) => {
      const { order } = createShop(url, { onUnauthorized: renew });
      const first = await order.run(cart);
      expect(first).toMatchObject({ kind: "unknown", error: { status: 401 } });
      expect(await order.run(cart)).toMatchObject({ kind: "done", key: first.key });
      expect(new Set(seen.map(({ key }) => key)).size).toBe(1);
    });
  });
});

it("a resumed operation stays unknown if the attempt times out before it is sent", async () => {
  await withServer([reset, done], async ({ url, seen }) => {
    let isHanging = false;
    const hang = () => (isHanging ? new Promise<void>(() => {}) : undefined);
    const { client, order } = createShop(url, {
      attempts: 1,
      attemptTimeoutMs: 1_000,
      ky: { hooks: { beforeRequest: [hang] } },
    });
    const first = await order.run(cart);
    if (first.kind !== "unknown") throw new Error(first.kind);
    isHanging = true;
    expect(await first.resume()).toMatchObject({ kind: "unknown", key: first.key });
    expect(await client.pending()).toMatchObject([{ key: first.key }]);
    expect(seen).toHaveLength(1);
  });
});
