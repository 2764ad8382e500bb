/** A server on a socket, and a clock that moves only when the client waits: what is sent too early is seen. */
import http from "node:http";
import type { AddressInfo } from "node:net";
import type { RunResult, WaitEvent } from "@oncekey/client";
import { vi } from "vitest";
import { cart, createShop } from "./shop.ts";
import type { Reply, Seen } from "./server.ts";

export interface Played {
  readonly result: RunResult<{ id: number } | undefined>;
  readonly seen: readonly Seen[];
  readonly waits: readonly WaitEvent[];
  /** Requests that came before the wait for them was over. */
  readonly early: number;
}

export interface Script {
  /** The first request gets the first reply, and so on; the last one repeats. `refused`: nobody listens. */
  readonly replies: readonly (Reply | "refused")[];
  /** Runs that settle before the one that counts, on the same connection. */
  readonly runsBefore?: number;
}

/** Called in the turn of the event loop in which everything that is under way has arrived. */
const settled = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
};

/**
 * Plays an operation against a script. Only the client's waits advance `setTimeout` and the clocks.
 */
export async function play({ replies, runsBefore = 0 }: Script): Promise<Played> {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date", "performance"] });
  // Half of what full jitter allows.
  vi.spyOn(Math, "random").mockReturnValue(0.5);
  const seen: Seen[] = [];
  const waits: WaitEvent[] = [];
  const stage = replies[Symbol.iterator]();
  let reply = stage.next().value;
  let early = 0;
  const server = http.createServer((request, response) => {
    let body = "";
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
    request.on("end", () => {
      const { method = "", url: path = "", headers } = request;
      const one: Seen = { method, path, key: String(headers["idempotency-key"]), body, headers };
      seen.push(one);
      const current = reply;
      reply = stage.next().value ?? reply;
      if (typeof current === "function") current(response, one);
    });
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve) => server.listen(port, "127.0.0.1", resolve));
  await listen(0);
  const { port } = server.address() as AddressInfo;
  const close = (): Promise<unknown> => new Promise((resolve) => server.close(resolve));
  if (reply === "refused") await close();

  async function whileWaiting(wait: WaitEvent): Promise<void> {
    waits.push(wait);
    if (reply === "refused") {
      await listen(port);
      reply = stage.next().value;
    }
    const before = seen.length;
    await settled();
    vi.advanceTimersByTime(Math.max(0, wait.waitMs - 1));
    await settled();
    early += seen.length - before;
    vi.advanceTimersByTime(1);
  }

  try {
    const { order } = createShop(`http://127.0.0.1:${port}/api/`, {
      backoff: { baseMs: 500, capMs: 8_000 },
    });
    for (let run = 0; run < runsBefore; run += 1) await order.run({ ...cart, id: `before-${run}` });
    const onWait = (wait: WaitEvent): void => void whileWaiting(wait);
    const result = await order.run(cart, { onWait });
    return { result, seen: seen.slice(runsBefore), waits, early };
  } finally {
    vi.useRealTimers();
    vi.restoreAllMocks();
    server.closeAllConnections();
    await close();
  }
}
