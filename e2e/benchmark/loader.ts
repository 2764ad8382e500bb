/** The load generator, a process of its own: sends what it is ordered to, and reports how long it took. */
import { setTimeout as sleep } from "node:timers/promises";
import { endWithParent, sendReport } from "@oncekey/test-support/processes/report-port";
import { openConnection, postRequest } from "./http-connection.ts";
import type { HttpConnection, Reply } from "./http-connection.ts";
import type {
  LoadOrder,
  LoadResult,
  Order,
  Result,
  StormOrder,
  StormResult,
} from "./load-order.ts";
import { quantile } from "./statistics.ts";

/** About 200 bytes, as a payment has. */
const BODY = JSON.stringify({
  amount: 4_200,
  currency: "EUR",
  reference: "invoice 2026-0117",
  note: "one of the payments that the benchmark makes, with a text of an ordinary length in it".padEnd(
    110,
    ".",
  ),
});

endWithParent();
// There is no port; the parent waits for the report that a server would send.
sendReport({ kind: "up", port: 1 });
process.on("message", (order: Order) => {
  const done = order.kind === "load" ? load(order) : storm(order);
  done.then(send, (error: Error) => send({ kind: "error", reason: error.message }));
});

function send(result: Result): void {
  process.send?.(result);
}

async function load(order: LoadOrder): Promise<LoadResult> {
  const { port, path, keys, until, isReplay } = order;
  const connections = await open(port, order.connections);
  const latencies: number[] = [];
  let sent = 0;
  const nextKey = (): string => {
    if (keys === "v4") return crypto.randomUUID();
    if (keys === "v7") return newUuid7();
    return keys[sent % keys.length] ?? "";
  };
  const startedAt = performance.now();
  const isOver = (): boolean =>
    "ms" in until ? performance.now() - startedAt >= until.ms : sent >= until.requests;
  const run = async (connection: HttpConnection): Promise<void> => {
    while (!isOver()) {
      const request = postRequest(path, nextKey(), BODY);
      sent += 1;
      const sentAt = performance.now();
      check(await connection.send(request), isReplay);
      latencies.push(performance.now() - sentAt);
    }
  };
  try {
    await Promise.all(connections.map(run));
  } finally {
    for (const connection of connections) connection.close();
  }
  const elapsedMs = performance.now() - startedAt;
  const sorted = latencies.toSorted((one, other) => one - other);
  return {
    kind: "load",
    requests: sorted.length,
    elapsedMs,
    p50Ms: quantile(sorted, 0.5),
    p99Ms: quantile(sorted, 0.99),
  };
}

async function storm(order: StormOrder): Promise<StormResult> {
  const { port, path, duplicates, handlerMs, bystanders, gapMs, isOfOneScope = false } = order;
  const connections = await open(port, duplicates + bystanders);
  const body = JSON.stringify({ handlerMs });
  const duplicate = postRequest(path, crypto.randomUUID(), body);
  const slow = (): string =>
    isOfOneScope ? postRequest(path, crypto.randomUUID(), body, "storm") : duplicate;
  const bystander = (): string =>
    isOfOneScope
      ? postRequest(path, crypto.randomUUID(), BODY, "calm")
      : postRequest("/payments", crypto.randomUUID(), BODY);
  const timed = async (connection: HttpConnection, request: string): Promise<number> => {
    const sentAt = performance.now();
    check(await connection.send(request), undefined);
    return performance.now() - sentAt;
  };
  try {
    const beside = connections.slice(duplicates).map(async (connection, index) => {
      await sleep(index * gapMs);
      return timed(connection, bystander());
    });
    const times = await Promise.all(
      connections.slice(0, duplicates).map((connection) => timed(connection, slow())),
    );
    return { kind: "storm", stormMs: Math.max(0, ...times), besideMs: await Promise.all(beside) };
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Returns a UUIDv7 (RFC 9562 §5.7). */
function newUuid7(): string {
  const hex = Date.now().toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7${crypto.randomUUID().slice(15)}`;
}

function open(port: number, count: number): Promise<HttpConnection[]> {
  return Promise.all(Array.from({ length: count }, () => openConnection(port)));
}

function check({ status, isReplay }: Reply, expected: boolean | undefined): void {
  if (status !== 201) throw new Error(`answered with ${status}`);
  if (expected === undefined || isReplay === expected) return;
  throw new Error(
    expected ? "a replay ran its handler" : "a first request was answered by a replay",
  );
}
