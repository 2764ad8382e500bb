import { asyncStorage, memoryStorage } from "@oncekey/client";
import type { ClientOptions, RequestBody } from "@oncekey/client";
import { omitBody } from "@oncekey/client/stored-body";
import { describe, expect, it } from "vitest";
import { createShop } from "../support/shop.ts";
import { done, json, reset, withServer } from "../support/server.ts";
import type { Seen } from "../support/server.ts";

const FORM_TYPE = "multipart/form-data; boundary=oncekey-form";

function form(note = "hello"): FormData {
  const data = new FormData();
  data.set("note", note);
  data.set("receipt", new Blob(["ä"], { type: "text/plain" }), "receipt.txt");
  return data;
}

const BODIES: readonly [string, () => RequestBody, string | undefined, string | RegExp][] = [
  ["text", () => "a=ä", "text/plain;charset=UTF-8", /^a=ä$/],
  [
    "parameters",
    () => new URLSearchParams({ a: "ä b" }),
    "application/x-www-form-urlencoded;charset=UTF-8",
    /^a=%C3%A4\+b$/,
  ],
  ["a part of a buffer", () => new TextEncoder().encode("xäy").subarray(1, 3), undefined, /^ä$/],
  ["a buffer", () => new TextEncoder().encode("ä").buffer, undefined, /^ä$/],
  ["a blob", () => new Blob(["ä"], { type: "text/csv" }), "text/csv", /^ä$/],
  ["a blob of no type", () => new Blob(["ä"]), undefined, /^ä$/],
  ["a form", form, FORM_TYPE, /name="note"\r\n\r\nhello\r\n.*\r\n\r\nä\r\n--oncekey-form--/s],
];

/** A page with one operation, which sends what it is given. */
function openPage(url: string, options: ClientOptions = {}) {
  const { client } = createShop(url, { attempts: 2, ...options });
  const upload = client.operation<() => RequestBody>("upload", {
    request: (body) => ({ path: "files", body: body() }),
    instance: () => "one",
    identity: () => "same",
  });
  return { client, upload };
}

const sent = ({ key, body, headers }: Seen) => [
  key,
  body,
  headers["content-type"],
  headers["content-length"],
];

describe("a body", () => {
  it.each(BODIES)("is the same bytes on every attempt: %s", async (_name, body, type, content) => {
    await withServer([reset, done], async ({ url, seen }) => {
      expect((await openPage(url).upload.run(body)).kind).toBe("done");
      expect(seen).toHaveLength(2);
      expect(seen.map(sent)[1]).toEqual(seen.map(sent)[0]);
      expect(seen[0]?.headers["content-type"]).toBe(type);
      expect(seen[0]?.headers["content-length"]).toBe(
        String(Buffer.byteLength(seen[0]?.body ?? "")),
      );
      expect(seen[0]?.body).toMatch(content);
    });
  });

  it.each(BODIES)("is the same bytes after a reload: %s", async (_name, body) => {
    const storage = memoryStorage();
    await withServer([json(503, {}), json(503, {}), done], async ({ url, seen }) => {
      await openPage(url, { storage }).upload.run(body);
      const [pending] = await openPage(url, { storage }).client.pending();
      expect(await pending?.resume()).toMatchObject({ kind: "done" });
      expect(seen.map(sent)[2]).toEqual(seen.map(sent)[0]);
    });
  });

  it.each(BODIES)("is taken by a plain call: %s", async (_name, body, type, content) => {
    await withServer([reset, done], async ({ url, seen }) => {
      await createShop(url).client.post("files", { body: body() });
      expect(seen.map(sent)[1]).toEqual(seen.map(sent)[0]);
      expect(seen[0]?.headers["content-type"]).toBe(type);
      expect(seen[0]?.body).toMatch(content);
    });
  });

  it("that is text stays text in a storage of text, and bytes become base64", async () => {
    const storage = asyncStorage(memoryStorage());
    await withServer([json(503, {})], async ({ url }) => {
      const { client } = openPage(url, { storage, attempts: 1 });
      const run = async (name: string, body: RequestBody) => {
        await client.operation(name, { request: () => ({ path: "files", body }) }).run(undefined);
      };
      await run("text", "ä");
      await run("bytes", new Uint8Array([0, 255]));
      const names = await storage.getAllKeys();
      const texts = await Promise.all(names.map(async (name) => storage.getItem(name)));
      const kept = texts.map((text) => JSON.parse(text ?? "") as { request: object });
      expect(kept.map(({ request }) => request)).toMatchObject([
        { body: "ä" },
        { body: "AP8=", bytes: "base64" },
      ]);
    });
  });
});

describe("a form", () => {
  it("that is made anew has the same bytes: its boundary comes of its content", async () => {
    const options = { storage: memoryStorage(), storedBody: omitBody(), attempts: 1 };
    await withServer([json(503, {}), done], async ({ url, seen }) => {
      await openPage(url, options).upload.run(form);
      expect((await openPage(url, options).upload.run(() => form())).kind).toBe("done");
      expect(seen.map(sent)[1]).toEqual(seen.map(sent)[0]);
    });
  });

  it("has a boundary that is nowhere in it", async () => {
    await withServer([done], async ({ url, seen }) => {
      await openPage(url).upload.run(() => form("--oncekey-form--"));
      expect(seen[0]?.headers["content-type"]).toBe(
        "multipart/form-data; boundary=oncekey-form---",
      );
      const whole = new Response(seen[0]?.body ?? "", {
        headers: { "content-type": seen[0]?.headers["content-type"] ?? "" },
      });
      expect((await whole.formData()).get("note")).toBe("--oncekey-form--");
    });
  });

  it("is sent as it was when it was clicked", async () => {
    await withServer([done], async ({ url, seen }) => {
      const data = form();
      const run = openPage(url).upload.run(() => data);
      data.set("note", "changed");
      await run;
      expect(seen[0]?.body).toContain("hello");
    });
  });

  it("or Blob that cannot be read is rejected, and nothing is sent or kept", async () => {
    await withServer([done], async ({ url, seen }) => {
      const { upload, client } = openPage(url);
      const gone = new Blob(["ä"]);
      gone.stream = () => {
        throw new DOMException("the file is gone", "NotReadableError");
      };
      const result = await upload.run(() => gone);
      expect(result).toMatchObject({ kind: "rejected" });
      expect(result.kind === "rejected" && result.error.message).toContain("the file is gone");
      expect([seen, await client.pending()]).toEqual([[], []]);
    });
  });
});
