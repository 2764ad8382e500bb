/** A component that shows an operation, mounted and unmounted as a page would. */
import { createContainer } from "./dom.ts";
import { useOperation } from "@oncekey/client/react";
import type { UsedOperation } from "@oncekey/client/react";
import type { Operation, OperationState } from "@oncekey/client";
import { act, createElement, StrictMode } from "react";
import type { ReactNode } from "react";
import { createRoot } from "react-dom/client";
import type { Root } from "react-dom/client";
import type { Cart } from "./shop.ts";

export type Order = { readonly id: number } | undefined;

/** Props of the component at each render, in order. */
export interface Shown {
  readonly states: OperationState<Order>[];
  used: UsedOperation<Order> | undefined;
}

export interface CheckoutProps {
  readonly operation: Operation<Cart, Order>;
  readonly cart: Cart;
  readonly shown: Shown;
}

export function createShown(): Shown {
  return { states: [], used: undefined };
}

export function Checkout({ operation, cart, shown }: CheckoutProps): ReactNode {
  const used = useOperation(operation, cart);
  shown.used = used;
  if (shown.states.at(-1) !== used.state) shown.states.push(used.state);
  return createElement("p", null, used.state.kind);
}

export interface Mounted {
  readonly root: Root;
  readonly text: () => string;
  readonly render: (node: ReactNode) => Promise<void>;
  readonly unmount: () => Promise<void>;
}

/** Renders in `StrictMode`, which mounts everything twice. */
export async function mount(node: ReactNode): Promise<Mounted> {
  const container = createContainer();
  const root = createRoot(container);
  const render = (next: ReactNode): Promise<void> =>
    act(async () => root.render(createElement(StrictMode, null, next)));
  await render(node);
  return {
    root,
    text: () => container.textContent ?? "",
    render,
    unmount: () => act(async () => root.unmount()),
  };
}
