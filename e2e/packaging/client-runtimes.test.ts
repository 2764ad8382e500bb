import http from "node:http";
import type { AddressInfo } from "node:net";
import vm from "node:vm";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createNative, createOlderBrowser, createWorker } from "./runtimes.ts";

let origin = "";
const keys: (string | undefined)[] = [];
const server = http.createServer((request, response) => {
  const key = request.headers["idempotency-key"];
  keys.push(String(key));
  if (keys.length === 1) {
    request.socket.destroy();
    return;
  }
  response.writeHead(201, {
    "content-type": "application/json",
    "idempotency-key": key,
  });
  response.end('{"id":1,"name":"Zoë"}');
});

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => new Promise((resolve) => server.close(resolve)));

const CLIENT = 'export { asyncStorage, createClient } from "@oncekey/client"';

/** A reload between the two orders, and what is left at the end. */
const ORDER = `(async () => {
  const warnings = [];
  const items = new Map();
  const storage = bundle.asyncStorage({
    async getItem(name) { return items.has(name) ? items.get(name) : null },
    async setItem(name, value) { items.set(name, value) },
    async removeItem(name) { items.delete(name) },
    async getAllKeys() { return [...items.keys()] },
  });
  const open = () => {
    const onWarning = ({ message, cause }) => warnings.push(message + " " + String(cause));
    const shop = bundle.createClient({ ky: { prefix: ORIGIN + "/api" }, storage, attempts: 1, onWarning });
    const order = shop.operation("order", { request: (lines) => ({ path: "orders", json: { lines } }), instance: () => "cart" });
    return { shop, order };
  };
  const first = await open().order.run(["apple"]);
  const { shop, order } = open();
  const [pending] = await shop.pending();
  const second = await order.run(["apple"]);
  const plain = await shop.post("orders", { json: {} }).json();
  const left = [...items.values()].filter((text) => text.includes("apple"));
  return JSON.stringify({ first, pending, second, plain, left, warnings });
})()`;

async function expectOneOrder(context: vm.Context): Promise<void> {
  keys.length = 0;
  const told: unknown = JSON.parse(String(await vm.runInContext(ORDER, context)));
  const [key] = keys;
  expect(told).toMatchObject({
    first: { kind: "unknown", key },
    pending: { key, operation: "order", instance: "cart" },
    second: { kind: "done", key, value: { id: 1, name: "Zoë" } },
    plain: { id: 1, name: "Zoë" },
    left: [],
    warnings: [],
  });
  expect([keys[1], keys.length]).toEqual([key, 3]);
}

it.each([
  ["in a browser of 2022", createOlderBrowser],
  ["in React Native", createNative],
  ["in a Worker", createWorker],
])(
  "%s an order whose reply was lost is settled after a reload, under its key",
  async (_name, create) => {
    await expectOneOrder(await create(origin, CLIENT));
  },
);
