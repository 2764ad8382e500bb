import { createClient } from "@oncekey/client";
import type { Done } from "@oncekey/client";
import { useOperation } from "@oncekey/client/react";
import { operationMutationOptions } from "@oncekey/client/tanstack-query";
import { same } from "./same.ts";

interface Cart {
  readonly id: string;
}
interface Order {
  readonly id: number;
}
declare const loading: Cart | undefined;
const shop = createClient({ statusCheck: true });
const order = shop.operation<Cart, Order>("order", { request: (json) => ({ path: "o", json }) });
const ping = shop.operation("ping", { request: () => ({ path: "ping" }) });

export function Checkout(): string {
  const { state, run } = useOperation(order, loading);
  useOperation(order, null);
  useOperation(ping);
  // @ts-expect-error -- the input is missing
  useOperation(order);
  // @ts-expect-error -- another input
  useOperation(order, { name: "cart" });
  void run({ signal: undefined });
  if (state.kind === "unknown") void state.result.check();
  if (state.kind !== "settled" || state.result.kind !== "done") return state.kind;
  same<typeof state.result.value, Order | undefined>(true);
  return String(state.result.value?.id);
}

const byValue = operationMutationOptions(order);
same<ReturnType<typeof byValue.mutationFn>, Promise<Order | undefined>>(true);
const byResult = operationMutationOptions(order, { data: "result" });
same<ReturnType<typeof byResult.mutationFn>, Promise<Done<Order | undefined>>>(true);
