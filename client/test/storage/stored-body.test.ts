import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { createClient, memoryStorage } from "@oncekey/client";
import type { Client, ClientOptions, Operation, Warning } from "@oncekey/client";
import { omitBody, sealBody } from "@oncekey/client/stored-body";
import { describe, expect, it } from "vitest";
import { done, json, withServer } from "../support/server.ts";

interface Card {
  readonly number: string;
}
const card: Card = { number: "4242424242424242" };
const down = json(503, {});

/** A page of a shop whose operation has the default identity and instance: its whole request. */
function openPage(prefix: string, options: ClientOptions) {
  const warnings: Warning[] = [];
  const onWarning = (warning: Warning): void => void warnings.push(warning);
  const client: Client = createClient({ ky: { prefix }, attempts: 1, onWarning, ...options });
  const pay: Operation<Card, unknown> = client.operation("pay", {
    request: ({ number }: Card) => ({ path: "payments", json: { number } }),
  });
  return { client, pay, warnings };
}

/** AES-256-GCM, as an application might bring it along. */
function createSeal(secret: Buffer = randomBytes(32)) {
  return sealBody({
    seal(body) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv("aes-256-gcm", secret, nonce);
      const text = Buffer.concat([cipher.update(body, "utf8"), cipher.final()]);
      return Buffer.concat([nonce, cipher.getAuthTag(), text]).toString("base64");
    },
    async open(sealed) {
      const bytes = Buffer.from(sealed, "base64");
      const decipher = createDecipheriv("aes-256-gcm", secret, bytes.subarray(0, 12));
      decipher.setAuthTag(bytes.subarray(12, 28));
      return decipher.update(bytes.subarray(28), undefined, "utf8") + decipher.final("utf8");
    },
  });
}

async function textOf(storage: ReturnType<typeof memoryStorage>): Promise<string> {
  const names = await storage.getAllKeys();
  const values = await Promise.all(names.map(async (name) => storage.getItem(name)));
  return [...names, ...values].join("\n");
}

describe.each([
  ["omitBody", omitBody()],
  ["sealBody", createSeal()],
])("a body under %s", (_name, storedBody) => {
  it("is nowhere in the storage, its names and its identity included", async () => {
    const storage = memoryStorage();
    await withServer([down], async ({ url }) => {
      const { key } = await openPage(url, { storage, storedBody }).pay.run(card);
      const text = await textOf(storage);
      expect(text).toContain(key);
      expect(text).not.toContain(card.number);
    });
  });

  it("is sent again under its key if the same page resumes it", async () => {
    await withServer([down, done], async ({ url, seen }) => {
      const result = await openPage(url, { storedBody }).pay.run(card);
      expect(result.kind === "unknown" && (await result.resume())).toMatchObject({ kind: "done" });
      expect(seen[1]).toMatchObject({ key: result.key, body: seen[0]?.body });
    });
  });

  it("comes from the input again after a reload, and goes on with its key", async () => {
    const storage = memoryStorage();
    await withServer([down, done], async ({ url, seen }) => {
      const { key } = await openPage(url, { storage, storedBody }).pay.run(card);
      const again = await openPage(url, { storage, storedBody }).pay.run({ ...card });
      expect(again).toMatchObject({ kind: "done", key });
      expect(seen[1]?.body).toBe(seen[0]?.body);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });

  it("is distinguished from another one", async () => {
    const storage = memoryStorage();
    await withServer([down, done], async ({ url }) => {
      const { key } = await openPage(url, { storage, storedBody }).pay.run(card);
      const other = await openPage(url, { storage, storedBody }).pay.run({ number: "4000" });
      expect(other.key).not.toBe(key);
    });
  });
});

describe("after a reload", () => {
  it("a body that was left out cannot be resumed without its input, and the key is kept", async () => {
    const storage = memoryStorage();
    const storedBody = omitBody();
    await withServer([down, down, done], async ({ url, seen }) => {
      const { key } = await openPage(url, { storage, storedBody }).pay.run(card);
      const { client, pay } = openPage(url, { storage, storedBody });
      const [left] = await client.pending();
      const result = await left?.resume();
      expect(result).toMatchObject({ kind: "unknown", key, attempts: 0 });
      expect(result?.kind === "unknown" && result.error).toMatchObject({
        code: "input_required",
        nextAction: "fix",
        retryable: false,
        message: expect.stringContaining("run with the same input"),
      });
      expect(seen).toHaveLength(1);
      const second = await pay.run(card);
      expect(second, "with the input it is sent").toMatchObject({ kind: "unknown", key });
      expect(await left?.resume(), "and this page has it from here on").toMatchObject({
        kind: "done",
        key,
      });
      expect(new Set(seen.map(({ body }) => body)).size).toBe(1);
    });
  });

  it("a sealed body is opened, and resumed without its input", async () => {
    const storage = memoryStorage();
    const storedBody = createSeal();
    await withServer([down, done], async ({ url, seen }) => {
      const { key } = await openPage(url, { storage, storedBody }).pay.run(card);
      const [left] = await openPage(url, { storage, storedBody }).client.pending();
      expect(await left?.resume()).toMatchObject({ kind: "done", key });
      expect(seen[1]?.body).toBe(seen[0]?.body);
    });
  });

  it.each([
    ["with another secret", createSeal()],
    ["without the option", undefined],
  ])(
    "a sealed body that cannot be opened costs the input, and not the key: %s",
    async (_name, later) => {
      const storage = memoryStorage();
      await withServer([down, done], async ({ url, seen }) => {
        const { key } = await openPage(url, { storage, storedBody: createSeal() }).pay.run(card);
        const options = later === undefined ? { storage } : { storage, storedBody: later };
        const { client, pay } = openPage(url, options);
        const [left] = await client.pending();
        const result = await left?.resume();
        expect(result).toMatchObject({ kind: "unknown", key, error: { code: "input_required" } });
        if (later !== undefined) expect(await pay.run(card)).toMatchObject({ kind: "done", key });
        expect(new Set(seen.map((one) => one.key))).toEqual(new Set([key]));
      });
    },
  );
});

describe("storedBody", () => {
  it("that fails to seal leaves the body out, with a warning, and never writes it down", async () => {
    const storage = memoryStorage();
    const seal = (): never => {
      throw new Error("no secret yet");
    };
    await withServer([down], async ({ url }) => {
      const storedBody = sealBody({ seal, open: seal });
      const { pay, warnings } = openPage(url, { storage, storedBody });
      const { key } = await pay.run(card);
      const text = await textOf(storage);
      expect([text.includes(key), text.includes(card.number)]).toEqual([true, false]);
      expect(warnings).toMatchObject([
        { code: "storage_failed", cause: { message: "no secret yet" } },
      ]);
    });
  });

  it("may be switched on while an operation with an instance of its own is unresolved", async () => {
    const storage = memoryStorage();
    await withServer([down, done], async ({ url, seen }) => {
      const keys = [];
      for (const options of [{ storage }, { storage, storedBody: omitBody() }]) {
        const pay = createClient({
          ky: { prefix: url },
          attempts: 1,
          onWarning() {},
          ...options,
        }).operation("pay", {
          request: ({ number }: Card) => ({ path: "payments", json: { number } }),
          instance: () => "one",
        });
        keys.push((await pay.run(card)).key);
      }
      expect([new Set(keys).size, seen[1]?.body]).toEqual([1, seen[0]?.body]);
    });
  });

  it.each([{}, "omit", { seal() {} }])("is refused by name where it is %j", (wrong) => {
    expect(() => createClient({ storedBody: wrong as never })).toThrow(
      /^storedBody must be omitBody\(\) or sealBody\(\), got/,
    );
  });

  it("is not made of what are no functions", () => {
    expect(() => sealBody({ seal: "aes" } as never)).toThrow(TypeError);
  });
});
