/** The benchmark's end of the load generator. */
import { once } from "node:events";
import { superviseScript } from "@oncekey/test-support/processes/supervised";
import type {
  LoadOrder,
  LoadResult,
  Order,
  Result,
  StormOrder,
  StormResult,
} from "./load-order.ts";

export interface LoadGenerator {
  readonly pid: number;
  load(order: Omit<LoadOrder, "kind">): Promise<LoadResult>;
  storm(order: Omit<StormOrder, "kind">): Promise<StormResult>;
  stop(): Promise<void>;
}

export async function startLoadGenerator(): Promise<LoadGenerator> {
  const supervised = superviseScript({
    name: "the load generator",
    script: new URL("loader.ts", import.meta.url),
  });
  await supervised.up();
  const child = supervised.child();
  const obey = async (order: Order): Promise<Result> => {
    const answered = once(child, "message");
    child.send(order);
    const [result] = (await answered) as [Result];
    if (result.kind === "error") throw new Error(`${order.path}: ${result.reason}`);
    return result;
  };
  return {
    pid: child.pid ?? 0,
    load: async (order) => (await obey({ kind: "load", ...order })) as LoadResult,
    storm: async (order) => (await obey({ kind: "storm", ...order })) as StormResult,
    stop: supervised.stop,
  };
}
