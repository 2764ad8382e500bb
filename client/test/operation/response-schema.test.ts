import { createClient, memoryStorage } from "@oncekey/client";
import type { ResponseSchema } from "@oncekey/client";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { done, json, problem, reset, withServer } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { createGate } from "../support/tabs.ts";

const ORDER = z.object({ id: z.number().transform((id) => `order ${id}`) });
/** A 2xx without the echoed key, as a server without the plugin sends it. */
const unacknowledged: Reply = (response) => {
  response.writeHead(200, { "content-type": "application/json" }).end('{"login":"required"}');
};

function createShop<Value>(
  prefix: string,
  response: ResponseSchema<Value>,
  storage = memoryStorage(),
) {
  const client = createClient({
    ky: { prefix },
    storage,
    attempts: 1,
    onWarning: () => undefined,
  });
  const order = client.operation("order", {
    request: (lines: string[]) => ({ path: "orders", json: { lines } }),
    response,
  });
  return { client, order };
}

describe("the schema of an operation", () => {
  it("makes the value of an answer that matches", async () => {
    await withServer([done], async ({ url }) => {
      const { order } = createShop(url, ORDER);
      expect(await order.run(["apple"])).toMatchObject({
        kind: "done",
        value: { id: "order 1" },
      });
    });
  });

  it("leaves an acknowledged answer done, with valueError instead of a value", async () => {
    await withServer([json(201, { id: "1" })], async ({ url, seen }) => {
      const { client, order } = createShop(url, ORDER);
      const result = await order.run(["apple"]);
      expect(result).toMatchObject({
        kind: "done",
        status: 201,
        value: undefined,
        valueError: {
          name: "UnexpectedAnswerError",
          code: "unexpected_answer",
          key: seen[0]?.key,
          status: 201,
          problem: { id: "1" },
          issues: [{ path: ["id"] }],
        },
      });
      const { valueError } = result as { valueError?: Error };
      expect(valueError?.message).toMatch(/^The answer does not match the schema: id: /);
      expect(await client.pending()).toEqual([]);
    });
  });

  it("makes an answer without the echoed key unknown, keeps the key, and resumes to the value", async () => {
    await withServer([unacknowledged, done], async ({ url, seen }) => {
      const { client, order } = createShop(url, ORDER);
      const result = await order.run(["apple"]);
      expect(result).toMatchObject({
        kind: "unknown",
        error: { code: "unexpected_answer", nextAction: "resume", problem: { login: "required" } },
      });
      expect(await client.pending()).toMatchObject([{ key: result.key }]);
      if (result.kind !== "unknown") throw new Error("expected unknown");
      expect(await result.resume()).toMatchObject({ kind: "done", value: { id: "order 1" } });
      expect(seen.map(({ key }) => key)).toEqual([result.key, result.key]);
    });
  });

  it.each<[string, Reply]>([
    ["an empty 204", json(204, undefined)],
    [
      "a body that the server could not store",
      problem(410, "idempotency_response_not_stored", {}, { originalStatus: 201 }),
    ],
  ])("finds %s to be no value", async (_name, reply) => {
    await withServer([reply], async ({ url }) => {
      const { order } = createShop(url, ORDER);
      expect(await order.run(["apple"])).toMatchObject({
        kind: "done",
        value: undefined,
        valueError: { code: "unexpected_answer" },
      });
    });
  });

  it("checks what pending() of a later page resumes", async () => {
    await withServer([reset, json(200, { id: "1" })], async ({ url }) => {
      const storage = memoryStorage();
      await createShop(url, ORDER, storage).order.run(["apple"]);
      const [pending] = await createShop(url, ORDER, storage).client.pending();
      expect(await pending?.resume()).toMatchObject({
        kind: "done",
        valueError: { code: "unexpected_answer" },
      });
    });
  });

  it("hands the valueError on to a tab that waited", async () => {
    const { opened, open } = createGate();
    const gated: Reply = (...given) => opened.then(() => json(201, { id: "1" })(...given));
    await withServer([gated], async ({ url, seen }) => {
      const storage = { ...memoryStorage(), sharedAs: crypto.randomUUID() };
      const runs = [1, 2].map(() => createShop(url, ORDER, storage).order.run(["apple"]));
      const waiting = async () => {
        const { pending = [] } = await navigator.locks.query();
        return pending.filter(({ name }) => name?.endsWith(storage.sharedAs));
      };
      await expect.poll(waiting).toHaveLength(1);
      open();
      const [first, second] = await Promise.all(runs);
      expect(second).toMatchObject({ kind: "done", key: first?.key });
      expect((second as { valueError?: unknown }).valueError).toMatchObject({
        name: "UnexpectedAnswerError",
        code: "unexpected_answer",
        issues: [{ path: ["id"] }],
      });
      expect(seen).toHaveLength(1);
    });
  });

  it("may be asynchronous, and one that throws has found its own error", async () => {
    await withServer([done], async ({ url }) => {
      const slow = z.object({ id: z.number() }).refine(async () => true);
      expect(await createShop(url, slow).order.run(["apple"])).toMatchObject({ value: { id: 1 } });
      const broken: ResponseSchema<string> = {
        "~standard": {
          version: 1,
          vendor: "test",
          validate() {
            throw new Error("broken schema");
          },
        },
      };
      const { order } = createShop(url, broken);
      expect(await order.run(["pear"])).toMatchObject({
        kind: "done",
        valueError: { issues: [{ message: "Error: broken schema" }] },
      });
    });
  });

  it("lets run.orThrow reject with the valueError", async () => {
    await withServer([json(201, {})], async ({ url }) => {
      const { order } = createShop(url, ORDER);
      await expect(order.run.orThrow(["apple"])).rejects.toMatchObject({
        code: "unexpected_answer",
      });
    });
  });

  it("must be a Standard Schema", () => {
    const response = { parse: () => 1 } as unknown as ResponseSchema<number>;
    expect(() => createShop("https://shop.example/", response)).toThrow(
      "order.response must be a Standard Schema, got {}",
    );
  });
});
