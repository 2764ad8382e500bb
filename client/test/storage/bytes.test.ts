import { asyncStorage, createClient, indexedDbStorage, memoryStorage } from "@oncekey/client";
import type { OperationStorage } from "@oncekey/client";
import { sealBody } from "@oncekey/client/stored-body";
import http from "node:http";
import type { AddressInfo } from "node:net";
import * as implementation from "fake-indexeddb";
import { describe, expect, it } from "vitest";
import { done, reset, withServer } from "../support/server.ts";

Object.assign(globalThis, implementation);

const MEGABYTE = 1_000_000;
// Text, so that the server of the tests can show what arrived.
const letters = "oncekey ".repeat(MEGABYTE / 8);
const bytes = new TextEncoder().encode(letters);

function openPage(prefix: string, storage: OperationStorage, storedBody = undefined as never) {
  const options = { storage, storedBody, rememberMs: 0, onUnacknowledged: "ignore" } as const;
  const client = createClient({ ky: { prefix }, attempts: 1, ...options });
  const upload = client.operation("upload", {
    request: (body: Blob | Uint8Array<ArrayBuffer>) => ({ path: "files", body }),
    identity: () => "the file",
  });
  return { client, upload };
}

/** A storage of text alone, such as `localStorage`. */
const textStorage = (): OperationStorage => asyncStorage(memoryStorage());

async function entriesOf(storage: OperationStorage): Promise<string> {
  const names = await storage.getAllKeys();
  return (await Promise.all(names.map(async (name) => storage.getItem(name)))).join("");
}

describe.each([
  ["bytes", bytes],
  ["a Blob", new Blob([bytes], { type: "text/plain" })],
  ["a File", new File([bytes], "order.txt", { type: "text/plain" })],
])("a body of %s", (_name, body) => {
  it.each([
    ["memoryStorage", memoryStorage],
    ["indexedDbStorage", () => indexedDbStorage({ name: crypto.randomUUID() })],
  ])("is kept as it is, sent again after a reload, and removed: %s", async (_storage, make) => {
    const storage = make();
    await withServer([reset, done], async ({ url, seen }) => {
      const { key } = await openPage(url, storage).upload.run(body);
      expect((await entriesOf(storage)).length, "no base64").toBeLessThan(2_000);
      const [left] = await openPage(url, storage).client.pending();
      expect(await left?.resume()).toMatchObject({ kind: "done", key });
      expect(seen.map((one) => one.body === letters)).toEqual([true, true]);
      expect(seen[1]?.headers["content-type"]).toBe(seen[0]?.headers["content-type"]);
      await expect.poll(() => storage.getAllKeys()).toEqual([]);
    });
  });

  it("is base64 in a storage that keeps text alone", async () => {
    const storage = textStorage();
    await withServer([reset, done], async ({ url, seen }) => {
      const { key } = await openPage(url, storage).upload.run(body);
      expect((await entriesOf(storage)).length / MEGABYTE).toBeCloseTo(4 / 3, 2);
      const [left] = await openPage(url, storage).client.pending();
      expect(await left?.resume()).toMatchObject({ kind: "done", key });
      expect(seen[1]?.body === letters).toBe(true);
    });
  });

  it("is sealed as text", async () => {
    const storage = memoryStorage();
    const seal = sealBody({ seal: (text) => `sealed ${text}`, open: (text) => text.slice(7) });
    await withServer([reset, done], async ({ url, seen }) => {
      await openPage(url, storage, seal as never).upload.run(body);
      const [left] = await openPage(url, storage, seal as never).client.pending();
      expect((await left?.resume())?.kind).toBe("done");
      expect(seen[1]?.body === letters).toBe(true);
    });
  });
});

describe("bytes that are no text", () => {
  // Longer than several chunks of the encoder, and different in each of them.
  const noise = new Uint8Array(100_003).map((_, at) => (at * 31 + (at >> 8) * 17) % 256);

  it.each([
    ["kept as base64", textStorage],
    ["kept as they are", memoryStorage],
  ])("arrive whole after a reload: %s", async (_name, make) => {
    const storage = make();
    const arrived: Uint8Array[] = [];
    const server = http.createServer((request, response) => {
      const parts: Buffer[] = [];
      request.on("data", (part: Buffer) => parts.push(part));
      request.on("end", () => {
        arrived.push(new Uint8Array(Buffer.concat(parts)));
        if (arrived.length === 1) response.destroy();
        else response.writeHead(204).end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    try {
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
      await openPage(url, storage).upload.run(noise);
      const [left] = await openPage(url, storage).client.pending();
      expect((await left?.resume())?.kind).toBe("done");
      expect(arrived.map((one) => Buffer.compare(one, noise))).toEqual([0, 0]);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe("bytes without an identity", () => {
  it("are another operation if one byte of a long body differs, wherever it is", async () => {
    await withServer([reset], async ({ url, seen }) => {
      const client = createClient({ ky: { prefix: url }, attempts: 1, onWarning() {} });
      const upload = client.operation("upload", {
        request: (body: Uint8Array<ArrayBuffer>) => ({ path: "files", body }),
      });
      const places = [0, 32_767, 32_768, 65_536, 99_999];
      for (const place of places) {
        const body = new Uint8Array(100_000);
        body[place] = 1;
        await upload.run(body);
      }
      expect(new Set(seen.map(({ key }) => key)).size).toBe(places.length);
    });
  });

  it("are compared by their content, and a Blob is refused", async () => {
    await withServer([reset, done], async ({ url }) => {
      const client = createClient({ ky: { prefix: url }, attempts: 1, onWarning() {} });
      const upload = client.operation("upload", {
        request: (body: Blob | Uint8Array<ArrayBuffer>) => ({ path: "files", body }),
      });
      const { key } = await upload.run(new Uint8Array([1, 2, 3]));
      expect((await upload.run(new Uint8Array([1, 2, 4]))).key).not.toBe(key);
      await expect(upload.run(new Blob(["1"]))).rejects.toThrow("upload.identity is required");
    });
  });

  it("are those of the click, whatever the caller does with them later", async () => {
    await withServer([reset, done], async ({ url, seen }) => {
      const { upload } = openPage(url, memoryStorage());
      const own = new TextEncoder().encode("apple");
      const run = upload.run(own);
      own.fill(0);
      await run;
      expect(seen[0]?.body).toBe("apple");
    });
  });
});
