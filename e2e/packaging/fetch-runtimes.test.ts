import http from "node:http";
import type { AddressInfo } from "node:net";
import vm from "node:vm";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createNative, createWorker } from "./runtimes.ts";

interface Seen {
  readonly key: string | undefined;
  readonly body: string;
}

let origin = "";
const seen: Seen[] = [];
const server = http.createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const key = String(request.headers["idempotency-key"]);
    seen.push({ key, body: Buffer.concat(chunks).toString() });
    if (request.url === "/never") return;
    // Lost, cut off, and then answered.
    if (seen.length === 1) {
      request.socket.destroy();
      return;
    }
    response.writeHead(201, { "content-type": "application/json", "idempotency-key": key });
    if (seen.length === 2) {
      response.write('{"id":');
      setTimeout(() => response.destroy(), 5);
    } else response.end('{"id":1,"name":"Zoë"}');
  });
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

const MAKE = `
import { createIdempotentFetch } from "@oncekey/client/fetch";
export const make = () => createIdempotentFetch({ backoff: { baseMs: 1, capMs: 2 } });
`;
const ORDER = `(async () => {
  const fetch = bundle.make();
  const response = await fetch(ORIGIN + "/orders", { method: "POST", body: '{"name":"Zoë"}' });
  return JSON.stringify([response.status, response.headers.get("idempotency-key"), await response.json()]);
})()`;

async function expectOneOrder(context: vm.Context): Promise<void> {
  seen.length = 0;
  const answer: unknown = await vm.runInContext(ORDER, context);
  const [first] = seen;
  expect(seen).toEqual(Array.from({ length: 3 }, () => first));
  expect(first?.body).toBe('{"name":"Zoë"}');
  expect(JSON.parse(String(answer))).toEqual([201, first?.key, { id: 1, name: "Zoë" }]);
}

describe("in React Native, whose fetch is whatwg-fetch", () => {
  const native = () => createNative(origin, MAKE);

  it("sends the same key and bytes through a lost and a cut-off reply", async () => {
    const context = await native();
    const lacks = `[
      "reason" in AbortSignal.prototype, "throwIfAborted" in AbortSignal.prototype, AbortSignal.any, AbortSignal.timeout,
      globalThis.structuredClone, globalThis.TextDecoder, globalThis.TextEncoder, crypto.subtle, crypto.randomUUID,
      globalThis.DOMException,
    ].filter(Boolean)`;
    expect(vm.runInContext(lacks, context), "what it lacks").toEqual([]);
    await expectOneOrder(context);
  });

  it("stops for its signals too, and is honest about what had left", async () => {
    const context = await native();
    const abort = `(async () => {
      const controller = new AbortController();
      const fetch = bundle.make();
      const call = fetch(ORIGIN + "/never", { method: "POST", body: "{}", signal: controller.signal });
      arrived.then(() => controller.abort());
      return call.catch((error) => [error.code, error.cause.name].join());
    })()`;
    seen.length = 0;
    context["arrived"] = expect.poll(() => seen.length).toBe(1);
    expect(await vm.runInContext(abort, context)).toBe("outcome_unknown,AbortError");
  });
});

describe("in a Worker", () => {
  it("does nothing that is refused outside of a request, and sets nothing that its Request does not know", async () => {
    await expectOneOrder(await createWorker(origin, MAKE));
  });
});
