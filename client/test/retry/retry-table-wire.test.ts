import { describe, expect, it, vi } from "vitest";
import { done, json, problem } from "../support/server.ts";
import type { Reply } from "../support/server.ts";
import { play } from "../support/wire.ts";
import type { Played, Script } from "../support/wire.ts";

const BODY = '{"lines":["apple"]}';
const HEADERS = { "content-type": "application/json", "content-length": "100" };

/** Lets the client's attempt timeout expire as soon as this much has arrived. */
const passAttempt = (): void => void setImmediate(() => vi.advanceTimersByTime(15_000));

const rows: [string, Script["replies"][number], number][] = [
  ["a connection that is refused", "refused", 250],
  ["a reset before the headers", (response) => response.socket?.resetAndDestroy(), 250],
  [
    "a reset after the headers",
    (response) => {
      response.writeHead(201, HEADERS).flushHeaders();
      setImmediate(() => response.socket?.resetAndDestroy());
    },
    250,
  ],
  [
    "a body that is cut off",
    (response) => {
      response.writeHead(201, HEADERS).write('{"id":', () => response.socket?.end());
    },
    250,
  ],
  [
    "a body that stalls",
    (response) => void response.writeHead(201, HEADERS).write('{"id":', passAttempt),
    250,
  ],
  ["no answer at all", passAttempt, 250],
  [
    "words that are not HTTP",
    (response) => response.socket?.end("220 mail.example ESMTP\r\n"),
    250,
  ],
  [
    "1xx and then nothing more",
    (response) => {
      response.writeProcessing();
      setImmediate(() => response.socket?.destroy());
    },
    250,
  ],
  [
    "100 Continue that nobody asked for, which Node's fetch takes for a broken answer",
    (response, seen) => {
      response.writeContinue();
      done(response, seen);
    },
    250,
  ],
  ...[408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524].map(
    (status): [string, Reply, number] => [String(status), json(status, {}), 250],
  ),
  ["400 with x-should-retry: true", json(400, {}, { "x-should-retry": "true" }), 250],
  ["400 with stripe-should-retry: true", json(400, {}, { "stripe-should-retry": "true" }), 250],
  ["503 that names seconds", json(503, {}, { "retry-after": "2" }), 2_000],
  ["429 that names milliseconds", json(429, {}, { "retry-after-ms": "700" }), 700],
  [
    "503 that names a date",
    (response, seen) =>
      json(503, {}, { "retry-after": new Date(Date.now() + 3_000).toUTCString() })(response, seen),
    2_001,
  ],
  ["503 that names two times", json(503, {}, { "retry-after": "1, 2" }), 2_000],
  [
    "503 idempotency_unavailable",
    problem(503, "idempotency_unavailable", { "retry-after": "1" }),
    1_000,
  ],
];

function expectOneKey({ seen, result, early }: Played, requests: number): void {
  expect(seen.map(({ method, path, key, body }) => [method, path, key, body])).toEqual(
    Array.from({ length: requests }, () => ["POST", "/api/orders", result.key, BODY]),
  );
  expect(early, "nothing is sent before its time").toBe(0);
}

describe("over a socket, the same key and the same bytes are sent again, and not too early", () => {
  it.each(rows)("after %s", async (_name, reply, floorMs) => {
    const played = await play({ replies: [reply, done] });
    expect(played.result).toMatchObject({ kind: "done", attempts: 2, value: { id: 1 } });
    expectOneKey(played, reply === "refused" ? 1 : 2);
    const [wait, ...more] = played.waits;
    expect(more).toEqual([]);
    expect(wait).toMatchObject({ reason: "retry", attempt: 2 });
    expect(wait?.waitMs).toBeGreaterThanOrEqual(floorMs);
    // With jitter on top.
    expect(wait?.waitMs).toBeLessThanOrEqual(Math.max(250, floorMs + 1_249));
  });

  it.each<[string, Reply]>([
    ["409 idempotency_in_flight", problem(409, "idempotency_in_flight", { "retry-after": "1" })],
    ["409 without a code but with Retry-After", json(409, {}, { "retry-after": "1" })],
  ])("after %s while the first request runs, which costs no attempt", async (_name, running) => {
    const played = await play({ replies: [running, running, done] });
    expect(played.result).toMatchObject({ kind: "done", attempts: 1 });
    expectOneKey(played, 3);
    expect(played.waits.map(({ reason, waitMs }) => [reason, waitMs])).toEqual([
      ["in-flight", 1_250],
      ["in-flight", 1_500],
    ]);
  });

  it("after a kept-alive connection that the server closes as the next request arrives", async () => {
    const race: Reply = (response) => response.socket?.destroy();
    const played = await play({ replies: [done, race, done], runsBefore: 1 });
    expect(played.result).toMatchObject({ kind: "done", attempts: 2 });
    expectOneKey(played, 2);
    expect(played.waits).toMatchObject([{ reason: "retry", waitMs: 250 }]);
  });

  it("with waits that double, until the attempts are used up", async () => {
    const played = await play({ replies: [(response) => response.socket?.resetAndDestroy()] });
    expect(played.result).toMatchObject({ kind: "unknown", attempts: 4 });
    expectOneKey(played, 4);
    expect(played.waits.map(({ waitMs }) => waitMs)).toEqual([250, 500, 1_000]);
  });
});

describe("over a socket, nothing is sent again", () => {
  it.each<[string, Reply]>([
    ["102 Processing", (response) => response.writeProcessing()],
    ["103 Early Hints", (response) => response.writeEarlyHints({ link: "</a.css>; rel=preload" })],
  ])("after %s and the answer itself", async (_name, informational) => {
    const reply: Reply = (response, seen) => {
      informational(response, seen);
      done(response, seen);
    };
    const played = await play({ replies: [reply] });
    expect(played.result).toMatchObject({ kind: "done", attempts: 1, status: 201 });
    expectOneKey(played, 1);
    expect(played.waits).toEqual([]);
  });

  it.each([307, 308])("but to where %i leads: method, key and bytes stay", async (status) => {
    const moved: Reply = (response) => response.writeHead(status, { location: "orders" }).end();
    const played = await play({ replies: [moved, done] });
    expect(played.result).toMatchObject({ kind: "done", attempts: 1 });
    expectOneKey(played, 2);
  });

  it.each([301, 302, 303])("but a GET without the bytes to where %i leads", async (status) => {
    const moved: Reply = (response) => response.writeHead(status, { location: "receipt" }).end();
    const { result, seen } = await play({ replies: [moved, json(200, { id: 1 })] });
    expect(result).toMatchObject({ kind: "done", attempts: 1, status: 200 });
    expect(seen.map(({ method, path, body }) => [method, path, body])).toEqual([
      ["POST", "/api/orders", BODY],
      ["GET", "/api/receipt", ""],
    ]);
  });

  it.each<[string, Reply, number]>([
    ...[400, 401, 402, 403, 404, 405, 409, 410, 412, 413, 422, 501, 505].map(
      (status): [string, Reply, number] => [
        String(status),
        json(status, { message: "no" }),
        status,
      ],
    ),
    ...[403, 408, 409, 425, 429, 500].map((status): [string, Reply, number] => [
      `a replayed ${status}`,
      json(status, {}, { "idempotent-replayed": "true", "retry-after": "1" }),
      status,
    ]),
    ["422 idempotency_conflict", problem(422, "idempotency_conflict"), 422],
    ["201 that is marked as a mismatch", json(201, {}, { "idempotency-mismatch": "true" }), 201],
  ])("after %s, which settles it", async (_name, reply, status) => {
    const played = await play({ replies: [reply] });
    expect(played.result).toMatchObject({ kind: "rejected", attempts: 1, error: { status } });
    expectOneKey(played, 1);
    expect(played.waits).toEqual([]);
  });

  it.each<[string, Reply, number]>([
    ["500 idempotency_outcome_unknown", problem(500, "idempotency_outcome_unknown"), 500],
    ["503 with x-should-retry: false", json(503, {}, { "x-should-retry": "false" }), 503],
    ["507", json(507, {}), 507],
  ])("after %s, and the key is kept", async (_name, reply, status) => {
    const played = await play({ replies: [reply] });
    expect(played.result).toMatchObject({ kind: "unknown", attempts: 1, error: { status } });
    expectOneKey(played, 1);
    expect(played.waits).toEqual([]);
  });
});
