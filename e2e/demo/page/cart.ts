/** The cart: what is in it, what it costs, whether it is paid. A reload does not empty it. */
import type { Order, Receipt } from "../../shop/wire.ts";

export interface CartState {
  readonly id: string;
  readonly isWrapped: boolean;
  readonly receipt: Receipt | undefined;
}

export interface Cart {
  state(): CartState;
  order(): Order;
  wrap(isWrapped: boolean): void;
  settle(receipt: Receipt): void;
  renew(): void;
}

const GOODS_CENTS = 42_50;
const WRAP_CENTS = 4_63;
const ENTRY = "shop.cart";

export function createCart(storage: Storage): Cart {
  let state = read(storage) ?? fresh();
  const change = (changed: Partial<CartState>): void => {
    state = { ...state, ...changed };
    storage.setItem(ENTRY, JSON.stringify(state));
  };
  change({});
  return {
    state: () => state,
    order: () => ({
      cart: state.id,
      amountCents: GOODS_CENTS + (state.isWrapped ? WRAP_CENTS : 0),
    }),
    wrap: (isWrapped) => change({ isWrapped }),
    settle: (receipt) => change({ receipt }),
    renew: () => change({ id: crypto.randomUUID(), receipt: undefined }),
  };
}

export function formatAmount(cents: number): string {
  return (cents / 100).toFixed(2);
}

function fresh(): CartState {
  return { id: crypto.randomUUID(), isWrapped: false, receipt: undefined };
}

function read(storage: Storage): CartState | undefined {
  const entry = storage.getItem(ENTRY);
  return entry === null ? undefined : (JSON.parse(entry) as CartState);
}
