import { createClient, memoryStorage } from "@oncekey/client";
import { createProblem } from "@oncekey/shared";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { json, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const unprotected: Reply = (response) => response.writeHead(201).end();

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

describe("warnings", () => {
  it("go to console.warn unless the application listens", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    const storage = { ...memoryStorage(), getAllKeys: () => Promise.reject(new Error("disk")) };
    await createClient({ storage }).pending();
    expect(warn).toHaveBeenCalledExactlyOnceWith(
      expect.stringMatching(/^\[oncekey\] The storage failed/),
      expect.objectContaining({ code: "storage_failed", cause: new Error("disk") }),
    );
  });

  it("that their listener chokes on do not cost the result", async () => {
    const report = vi.spyOn(console, "error").mockReturnValue();
    const broken = new Error("listener");
    const onWarning = (): never => {
      throw broken;
    };
    await withServer([unprotected], async ({ url }) => {
      expect(await createShop(url, { onWarning }).order.run(cart)).toMatchObject({ kind: "done" });
      expect(report).toHaveBeenCalledExactlyOnceWith(broken);
    });
  });

  it("report once, and not with every request, that Retry-After cannot be read on another origin", async () => {
    const hidden = json(503, createProblem("idempotency_unavailable", { detail: "down" }));
    await withServer([hidden, hidden, hidden, json(201, {})], async ({ url }) => {
      const { order, warnings } = createShop(url);
      expect((await order.run(cart)).kind).toBe("done");
      expect(warnings).toEqual([
        {
          code: "retry_after_unreadable",
          message: `[oncekey] Retry-After of ${url}orders cannot be read: the API must name it in Access-Control-Expose-Headers`,
        },
      ]);
    });
  });

  it("do not miss a Retry-After that can be read", async () => {
    const refusal = createProblem("idempotency_unavailable", { detail: "down" });
    const busy = json(503, refusal, { "retry-after": "0" });
    await withServer([busy, json(201, {})], async ({ url }) => {
      const { order, warnings } = createShop(url);
      expect((await order.run(cart)).kind).toBe("done");
      expect(warnings).toEqual([]);
    });
  });

  it("name the header that a preflight of another origin lacks, once", async () => {
    vi.stubGlobal("location", new URL("https://shop.example/"));
    await withServer([reset], async ({ url }) => {
      const { order, warnings } = createShop(url);
      await order.run(cart);
      expect(warnings.map(({ code }) => code)).toEqual(["cross_origin_failed"]);
      expect(warnings[0]?.message).toContain(
        'its preflight needs "Access-Control-Allow-Headers: Idempotency-Key, content-type"',
      );
    });
  });

  it("do not name a preflight outside of a page", async () => {
    await withServer([reset, json(201, {})], async ({ url }) => {
      const { order, warnings } = createShop(url);
      expect((await order.run(cart)).kind).toBe("done");
      expect(warnings).toEqual([]);
    });
  });

  it("do not name a preflight if the lost request stayed on the page's origin", async () => {
    await withServer([reset, json(201, {}, { "idempotency-key": "echo" })], async ({ url }) => {
      vi.stubGlobal("location", new URL(url));
      const { order, warnings } = createShop(url, { onUnacknowledged: "ignore" });
      expect((await order.run(cart)).kind).toBe("done");
      expect(warnings).toEqual([]);
    });
  });

  it.each([
    ["cors", "the API must name it in Access-Control-Expose-Headers"],
    ["basic", "is the route protected?"],
  ])("name why a success has no echo, if its response is %s", async (type, why) => {
    await withServer([unprotected], async ({ url }) => {
      const send = async (...asked: Parameters<typeof fetch>): Promise<Response> =>
        Object.defineProperty(await fetch(...asked), "type", { value: type });
      const { order, warnings } = createShop(url, { ky: { fetch: send } });
      await order.run(cart);
      const message = `[oncekey] POST ${url}orders succeeded without echoing Idempotency-Key: ${why}`;
      expect(warnings).toEqual([{ code: "unacknowledged", message }]);
    });
  });
});

describe("debug", () => {
  it("logs each attempt with its key, its instance and its outcome", async () => {
    const log = vi.spyOn(console, "debug").mockReturnValue();
    await withServer([reset, json(503, {}), json(201, {})], async ({ url }) => {
      const { key } = await createShop(url, { debug: true }).order.run(cart);
      expect(log.mock.calls.flat()).toEqual([
        expect.stringContaining(`[oncekey] order cart-1 attempt 1 key ${key}: no answer`),
        `[oncekey] order cart-1 attempt 2 key ${key}: 503 retry`,
        `[oncekey] order cart-1 attempt 3 key ${key}: 201 done`,
      ]);
    });
  });

  it("logs how each kind of answer was judged", async () => {
    const log = vi.spyOn(console, "debug").mockReturnValue();
    const cutOff: Reply = (response, { key }) =>
      response
        .writeHead(201, { "content-type": "application/json", "idempotency-key": key })
        .end('{"id":');
    const replies = [
      json(503, createProblem("idempotency_unavailable", { detail: "down" }), {
        "retry-after": "0",
      }),
      json(400, {}, { "x-should-retry": "true" }),
      cutOff,
      json(409, {}, { "retry-after": "0" }),
      json(402, {}),
    ];
    await withServer(replies, async ({ url }) => {
      await createShop(url, { debug: true, attempts: 9 }).order.run(cart);
      const outcomes = log.mock.calls.flat().map((line) => String(line).split(": ")[1]);
      expect(outcomes).toEqual(["503 retry", "400 retry", "201 retry", "409 poll", "402 rejected"]);
    });
  });
});
