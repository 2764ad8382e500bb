import { createServer } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createHistory } from "../history/history.ts";
import { startWorkload } from "./workload.ts";

test("without answers the load ends on its signal, and returns the keys that were not repeated", async () => {
  const server = createServer((_, response) => response.writeHead(503).end());
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => void server.close());
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const history = createHistory();
  const workload = startWorkload([origin], "by hand", history);
  await expect.poll(() => history.events.length).toBeGreaterThan(0);
  await workload.finish(AbortSignal.timeout(10));
  expect(workload.answeredAt).toEqual([]);
  const unasked = await workload.repeat([origin], AbortSignal.timeout(10));
  const keys = new Set(history.events.flatMap((event) => ("key" in event ? [event.key] : [])));
  expect(new Set(unasked.map(({ key }) => key))).toEqual(keys);
});
