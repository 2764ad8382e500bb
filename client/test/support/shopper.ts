/** A process, or a thread of one, that orders: `shopper.ts <base URL> <folder> <"run" | "resume">`. Prints its result. */
import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { fileStorage } from "@oncekey/client/node";
import { cart, createShop } from "./shop.ts";

const given = (workerData as string[] | null) ?? process.argv.slice(2);
const [url = "", folder = "", move = "run"] = given;
const { order, client } = createShop(url, { storage: fileStorage(folder) });
const [left] = move === "resume" ? await client.pending() : [];
const run = left?.resume() ?? order.run(cart);

// Node shows a thread its own locks only, so each thread has to report whether it waits for its
// turn.
async function isWaiting(): Promise<boolean> {
  return ((await navigator.locks.query()).pending ?? []).length > 0;
}

if (parentPort === null) {
  const { kind, key } = await run;
  console.log(JSON.stringify({ kind, key }));
} else {
  let isOver = false;
  const result = run.finally(() => (isOver = true));
  while (!isOver && !(await isWaiting())) await sleep(5);
  if (!isOver) parentPort.postMessage("waiting");
  const { kind, key } = await result;
  parentPort.postMessage({ kind, key });
}
