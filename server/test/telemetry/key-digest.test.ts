import { createHmac } from "node:crypto";
import { idempotency, keyDigest } from "@oncekey/server";
import Fastify from "fastify";
import pg from "pg";
import { expect, it } from "vitest";
import { digestKey } from "../../src/telemetry/key-digest.ts";

// Never connected: registration only looks at its shape.
const pool = new pg.Pool();
const secret = "0123456789abcdef0123456789abcdef";

async function register(digestSecret: unknown): Promise<void> {
  await using app = Fastify();
  const options = { pool, scope: "single-tenant", sweep: false, digestSecret } as const;
  await app.register(idempotency, options as Parameters<typeof idempotency>[1]);
}

it.each([[""], ["short"], [new Uint8Array(31)], [32]])(
  "refuses digestSecret %j by name and without showing it",
  async (wrong) => {
    await expect(register(wrong)).rejects.toThrow(
      new TypeError("digestSecret must be a string or a Uint8Array of at least 32 bytes"),
    );
  },
);

it("makes the same digest in every process that has the secret, as text or as bytes", async () => {
  const before = digestKey("order-1");
  await register(secret);
  const expected = createHmac("sha256", secret).update("order-1").digest("hex").slice(0, 16);
  expect(digestKey("order-1")).toBe(expected);
  expect(keyDigest("order-1", secret)).toBe(expected);
  expect(keyDigest("order-1", Buffer.from(secret))).toBe(expected);
  expect(before).not.toBe(expected);
  await register(Buffer.from(secret));
});

it("refuses a second secret in one process: an event does not know its registration", async () => {
  await register(secret);
  await expect(register(`another ${secret}`)).rejects.toThrow(
    "digestSecret must be the same in all registrations of a process",
  );
});
