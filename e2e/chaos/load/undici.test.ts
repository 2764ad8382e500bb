import { once } from "node:events";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { Agent } from "undici";
import { expect, onTestFinished, test } from "vitest";
import { createHistory } from "../history/history.ts";
import { CHANCE_HEADER } from "../protocol/order.ts";
import { createUndiciSend } from "./undici.ts";

type Answer = (response: ServerResponse) => void;

const SENDING = {
  operation: "op1",
  scope: "ada",
  key: "k1",
  path: "/orders",
  search: "?gift=yes",
  order: { deed: "charge", amount: 1, workMs: 0 },
} as const;

const KEPT = { "idempotency-key": SENDING.key };

test("each attempt that undici makes is in the history, with its way and its ending", async () => {
  const { events, requests } = await sendTo([
    (response) => void response.destroy(),
    (response) => void response.writeHead(429, KEPT).end("later"),
    (response) => void response.writeHead(201, KEPT).end("paid"),
  ]);
  expect(events).toMatchObject([
    { kind: "invoke", attempt: 1, server: "way 1" },
    { kind: "info", attempt: 1, isLate: false },
    { kind: "invoke", attempt: 2, server: "way 2" },
    { kind: "fail", attempt: 2, status: 429 },
    { kind: "invoke", attempt: 3, server: "way 3", operation: "op1", scope: "ada", key: "k1" },
    { kind: "ok", attempt: 3, status: 201, body: "paid" },
  ]);
  expect(requests).toHaveLength(3);
  // In whatever spelling of its path.
  expect(new Set(requests.map(decodeURI))).toEqual(
    new Set([`POST /orders?gift=yes k1 ${JSON.stringify(SENDING.order)}`]),
  );
});

test("an answer that broke off has failed, and so has the attempt at the rest of it, which is marked", async () => {
  const whole = { ...KEPT, "content-length": 8 };
  const { events } = await sendTo([
    (response) => void response.writeHead(201, whole).write("half", () => response.destroy()),
    (response) => void response.writeHead(201, whole).end("halfhalf"),
  ]);
  expect(events).toMatchObject([
    { kind: "invoke", attempt: 1 },
    { kind: "info", attempt: 1 },
    { kind: "invoke", attempt: 2, fault: "asks for the rest" },
    { kind: "info", attempt: 2, reason: expect.stringContaining("range") },
  ]);
  expect(events[0]).not.toHaveProperty("fault");
});

test("what chance decides in the handler comes from the operation and the number of the attempt at it", async () => {
  const busy: Answer = (response) => void response.writeHead(503).end();
  const { chances } = await sendTo([busy, busy, (response) => void response.end()]);
  expect(new Set(chances).size).toBe(3);
  const { chances: again } = await sendTo([busy, (response) => void response.end()]);
  expect(again).toEqual(chances.slice(0, 2));
});

async function sendTo(answers: readonly Answer[]) {
  const requests: string[] = [];
  const chances: unknown[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method, url, headers } = request;
    const body = await buffer(request);
    chances.push(headers[CHANCE_HEADER]);
    requests.push(`${method} ${url} ${headers["idempotency-key"]?.toString()} ${body.toString()}`);
    answers[requests.length - 1]?.(response);
  };
  const server = createServer((request, response) => void answer(request, response));
  await once(server.listen(0, "127.0.0.1"), "listening");
  const agent = new Agent();
  onTestFinished(async () => {
    await agent.destroy();
    server.close();
  });
  const history = createHistory();
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let ways = 0;
  const parts = {
    history,
    wayOf: async () => ({ server: `way ${(ways += 1)}`, origin }),
    policyOf: () => ({ strategy: "row", mismatch: "replay", retentionMs: 1_000 }) as const,
  };
  await createUndiciSend(parts, "client 1", agent)(SENDING);
  return { events: history.events, requests, chances };
}
