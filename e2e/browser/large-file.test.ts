/** A large file in IndexedDB: the client hands the Blob on as it is, and copies and encodes nothing on the main thread. */
import { expect, test } from "vitest";
import { withClientPage } from "./with-client-page.ts";

const SIZE = 10_000_000;

/** The key and the size of each upload. */
const uploads: { readonly key: string; readonly size: number }[] = [];

/** An API that fails at the first upload. */
const shop = withClientPage({
  exports: "createClient, indexedDbStorage",
  answer(request, response, key) {
    let size = 0;
    request.on("data", (part: Buffer) => (size += part.length));
    request.on("end", () => {
      uploads.push({ key, size });
      // Not a lost connection: Chromium sends again by itself.
      if (uploads.length === 1) response.writeHead(500).end();
      else response.writeHead(201, { "idempotency-key": key }).end();
    });
  },
});

/** Records every way by which a script reads, copies or encodes content, from the given size on. */
const WATCH = `
  globalThis.copies = [];
  const watch = (owner, name, sizeOf) => {
    const own = owner[name];
    owner[name] = function (...given) {
      const size = sizeOf(this, given);
      if (size >= 100_000) globalThis.copies.push(name + " of " + size);
      return Reflect.apply(own, this, given);
    };
  };
  for (const name of ["arrayBuffer", "text", "bytes", "stream", "slice"])
    if (name in Blob.prototype) watch(Blob.prototype, name, (blob) => blob.size);
  for (const name of ["readAsArrayBuffer", "readAsDataURL", "readAsText", "readAsBinaryString"])
    watch(FileReader.prototype, name, (_reader, [blob]) => blob.size);
  for (const name of ["arrayBuffer", "blob", "bytes", "text"])
    if (name in Response.prototype) watch(Response.prototype, name, () => 0);
  watch(globalThis, "btoa", (_scope, [text]) => String(text).length);
  watch(globalThis, "atob", (_scope, [text]) => String(text).length);
  watch(TextEncoder.prototype, "encode", (_encoder, [text = ""]) => text.length);
  watch(TextDecoder.prototype, "decode", (_decoder, [bytes]) => bytes?.byteLength ?? 0);
  watch(JSON, "stringify", (_json, [value]) => (value instanceof Blob ? value.size : 0));
  watch(Uint8Array.prototype, "slice", (bytes) => bytes.byteLength);
  watch(Uint8Array.prototype, "set", (_target, [bytes]) => bytes.length);
`;

const OPEN = (): string => `
  const shop = bundle.createClient({
    ky: { prefix: "${shop.origin}" },
    attempts: 1,
    storage: bundle.indexedDbStorage(),
  });
  const upload = shop.operation("upload", {
    request: (body) => ({ path: "files", body }),
    instance: () => "file",
    identity: () => "file",
  });
`;

/** Returns the kind and the size of every value in the database. */
const LIST = `
  const opening = indexedDB.open("oncekey");
  await new Promise((resolve) => opening.addEventListener("success", resolve));
  const asking = opening.result.transaction("operations").objectStore("operations").getAll();
  await new Promise((resolve) => asking.addEventListener("success", resolve));
  opening.result.close();
  const stored = asking.result.map((value) =>
    value instanceof Blob ? ["Blob", value.size] : [typeof value, value.length < 2_000],
  );
`;

test("is stored as a Blob, sent, and resumed by a later page, without a copy on the main thread", async () => {
  const page = await shop.openEmpty();
  await page.evaluate(shop.script + WATCH);
  const first = await page.evaluate(`(async () => {
    ${OPEN()}
    const file = new File([new Uint8Array(${SIZE})], "photo.raw", { type: "image/raw" });
    const { kind, key } = await upload.run(file);
    ${LIST}
    return { kind, key, stored: stored.sort(), copies };
  })()`);
  const key = uploads[0]?.key ?? "none";
  expect(first).toEqual({
    kind: "unknown",
    key,
    stored: [
      ["Blob", SIZE],
      ["string", true],
    ],
    copies: [],
  });
  await page.reload();
  await page.evaluate(shop.script + WATCH);
  const resumed = await page.evaluate(`(async () => {
    ${OPEN()}
    const [left] = await shop.pending();
    const { kind } = await left.resume();
    return { kind, copies };
  })()`);
  expect(resumed).toEqual({ kind: "done", copies: [] });
  expect(uploads).toEqual([
    { key, size: SIZE },
    { key, size: SIZE },
  ]);
});
