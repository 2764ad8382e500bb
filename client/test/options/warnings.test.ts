import { createClient, memoryStorage } from "@oncekey/client";
import { createProblem } from "@oncekey/shared";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "../support/shop.ts";
import { json, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";

const unprotected: Reply = (response) => response.writeHead(201).end();

afterEach(() => vi.restoreAllMocks());

describe("warnings", () => {
  it("go to console.warn unless somebody listens", async () => {
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

  it("say once, and not with every request, that Retry-After cannot be read on another origin", async () => {
    const hidden = json(503, createProblem("idempotency_unavailable", { detail: "down" }));
    await withServer([hidden, hidden, hidden, json(201, {})], async ({ url }) => {
      const { order, warnings } = createShop(url);
      expect((await order.run(cart)).kind).toBe("done");
      expect(warnings).toEqual([
        {
          code: "retry_after_unreadable",
          message: `[oncekey] Retry-After of ${url}orders cannot be read: add "Access-Control-Expose-Headers: Retry-After" to the answers of the API`,
        },
      ]);
    });
  });
});
