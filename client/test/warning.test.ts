import { createClient, memoryStorage } from "@oncekey/client";
import { afterEach, describe, expect, it, vi } from "vitest";
import { cart, createShop } from "./support/shop.ts";
import { withServer } from "./support/server.ts";
import type { Reply } from "./support/server.ts";

const unprotected: Reply = (response) => response.writeHead(201).end();

afterEach(() => vi.restoreAllMocks());

describe("warnings", () => {
  it("go to console.warn unless somebody listens", async () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue();
    const storage = { ...memoryStorage(), getAllKeys: () => Promise.reject(new Error("disk")) };
    await createClient({ storage }).pending();
    expect(warn).toHaveBeenCalledExactlyOnceWith(
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
});
