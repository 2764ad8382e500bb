import { describe, expect, it } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { done, withServer } from "../support/server.ts";

const never = () => new Promise<never>(() => undefined);

describe("one attempt", () => {
  it("covers the body: an answer that stalls half-way is asked for again", async () => {
    await withServer(
      [
        (response, { key }) => (
          response.writeHead(201, { "content-length": "100", "idempotency-key": key }),
          response.write('{"id":')
        ),
        done,
      ],
      async ({ url, seen }) => {
        // The timeout may strike more than once on a busy machine, and not ten times.
        const { order } = createShop(url, { attemptTimeoutMs: 500, attempts: 10 });
        const result = await order.run(cart);
        expect(result).toMatchObject({ kind: "done", value: { id: 1 } });
        expect(result.attempts).toBeGreaterThanOrEqual(2);
        expect(new Set(seen.map(({ key, body }) => `${key} ${body}`)).size).toBe(1);
      },
    );
  });

  it("ends in time also where fetch takes no notice of its signal", async () => {
    const { order } = createShop("https://shop.example/", {
      ky: { fetch: never },
      attempts: 2,
      attemptTimeoutMs: 20,
    });
    expect(await order.run(cart)).toMatchObject({ kind: "unknown", attempts: 2 });
    const controller = new AbortController();
    const run = order.run({ ...cart, id: "cart-2" }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 5);
    expect(await run).toMatchObject({ kind: "unknown", attempts: 1 });
  });

  it("survives a server that closes the kept-alive connection after each answer", async () => {
    await withServer(
      [
        (response, seen) => {
          response.on("finish", () => setImmediate(() => response.socket?.destroy()));
          done(response, seen);
        },
      ],
      async ({ url, seen }) => {
        const { order } = createShop(url);
        const keys: string[] = [];
        for (let run = 1; run <= 5; run += 1) {
          const result = await order.run(cart);
          expect(result.kind).toBe("done");
          keys.push(result.key);
        }
        expect(new Set(seen.map(({ key }) => key))).toEqual(new Set(keys));
      },
    );
  });

  it("that cannot be a request was never sent: rejected", async () => {
    const { order, client } = createShop("https://user:password@shop.example/", {
      ky: { fetch: never },
    });
    expect(await order.run(cart)).toMatchObject({
      kind: "rejected",
      error: { message: expect.stringContaining("nothing was sent") },
    });
    expect(await client.pending()).toEqual([]);
  });

  it("is repeated where nothing listens, and the outcome stays unknown", async () => {
    let url = "";
    await withServer([done], async (server) => {
      ({ url } = server);
    });
    expect(await createShop(url).order.run(cart)).toMatchObject({
      kind: "unknown",
      attempts: 4,
      error: { code: "outcome_unknown", cause: { message: expect.stringContaining("No answer") } },
    });
  });
});

describe("cookies", () => {
  it.each<[string, { credentials?: RequestCredentials }, RequestCredentials]>([
    ["of the same origin, unless it is told otherwise", {}, "same-origin"],
    ["of other origins too", { credentials: "include" }, "include"],
    ["of none", { credentials: "omit" }, "omit"],
  ])("are sent as fetch has it: %s", async (_name, options, expected) => {
    await withServer([done], async ({ url }) => {
      let sent: RequestCredentials | undefined;
      const fetch: typeof globalThis.fetch = (input, init) => {
        sent = new Request(input, init).credentials;
        return globalThis.fetch(input, init);
      };
      await createShop(url, { ky: { ...options, fetch } }).order.run(cart);
      expect(sent).toBe(expected);
    });
  });
});

describe("headers", () => {
  it("of ky's instance are overridden by those of the request in any case, and by the key", async () => {
    await withServer([done], async ({ url, seen }) => {
      const headers = { "X-Kind": "client", "X-Own": "1", "idempotency-key": "another" };
      const { client } = createShop(url, { ky: { headers } });
      await client.post("orders", { key: "mine", headers: { "x-kind": "call" } });
      expect(seen[0]).toMatchObject({
        key: "mine",
        headers: { "x-kind": "call", "x-own": "1", accept: "application/json" },
      });
    });
  });

  it("that a hook makes too late send nothing, whether or not fetch heeds its signal", async () => {
    const late = Promise.withResolvers<void>();
    let calls = 0;
    const fetch = () => ((calls += 1), never());
    const { order } = createShop("https://shop.example/", {
      ky: { hooks: { beforeRequest: [() => late.promise] }, fetch },
      attempts: 1,
      attemptTimeoutMs: 20,
    });
    expect(await order.run(cart)).toMatchObject({ kind: "rejected", attempts: 1 });
    late.resolve();
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(calls).toBe(0);
  });

  it("that never come end with the attempt's time, and nothing was sent: rejected", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { order, client } = createShop(url, {
        ky: { hooks: { beforeRequest: [never] } },
        attempts: 2,
        attemptTimeoutMs: 20,
      });
      expect(await order.run(cart)).toMatchObject({
        kind: "rejected",
        attempts: 2,
        error: { message: expect.stringContaining("nothing was sent") },
      });
      expect([seen, await client.pending()]).toEqual([[], []]);
    });
  });
});
