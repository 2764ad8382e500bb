import { createIdempotentFetch } from "@oncekey/client/fetch";
import { describe, expect, it } from "vitest";
import { done, json, withServer } from "../support/server.ts";

const fetch = createIdempotentFetch();

const orderUnder = (key: string): RequestInit => ({
  method: "POST",
  body: "{}",
  headers: { "idempotency-key": key },
});

describe("a key that the caller of a drop-in fetch gives", () => {
  it("is taken as it is written, for any method that changes something", async () => {
    await withServer([done], async ({ url, seen }) => {
      for (const method of ["POST", "PUT", "DELETE"]) {
        await fetch(url, { method, headers: { "Idempotency-Key": '"mine"' } });
      }
      expect(seen.map(({ method, key }) => [method, key])).toEqual([
        ["POST", '"mine"'],
        ["PUT", '"mine"'],
        ["DELETE", '"mine"'],
      ]);
    });
  });

  it("makes a first call: a 401 is an answer, and an abort before it is the caller's own", async () => {
    await withServer([json(401, {})], async ({ url, seen }) => {
      expect((await fetch(url, orderUnder("mine"))).status).toBe(401);
      const signal = AbortSignal.abort(new Error("left"));
      await expect(fetch(url, { ...orderUnder("mine"), signal })).rejects.toThrow("left");
      expect(seen).toHaveLength(1);
    });
  });

  it("makes a repeated call by repeat: true, to which a 401 is no answer", async () => {
    await withServer([json(401, {})], async ({ url }) => {
      await expect(fetch(url, { ...orderUnder("mine"), repeat: true })).rejects.toMatchObject({
        code: "outcome_unknown",
        key: "mine",
      });
    });
  });

  it("is refused where it is none, and nothing is sent", async () => {
    await withServer([done], async ({ url, seen }) => {
      await expect(fetch(url, orderUnder("a b"))).rejects.toThrow(
        new TypeError('Idempotency-Key must be 1 to 255 visible ASCII characters, got "a b"'),
      );
      expect(seen).toEqual([]);
    });
  });
});
