/** A cart, a button and the message below it: the same for every framework's page. */
import { useSyncExternalStore } from "react";
import type { ReactNode } from "react";
import { formatAmount } from "./cart.ts";
import type { SmallShop } from "./small-shop.ts";

interface Props {
  readonly shop: SmallShop;
  readonly isBusy: boolean;
  readonly status: string;
  readonly onPay: () => void;
}

export function SmallCheckout({ shop, isBusy, status, onPay }: Props): ReactNode {
  const sent = useSyncExternalStore(shop.sent.subscribe, shop.sent.getText);
  return (
    <section className="cart" aria-labelledby="cart-title">
      <h2 id="cart-title">Your cart: {formatAmount(shop.order.amountCents)}</h2>
      <label className="switch">
        <input
          type="checkbox"
          role="switch"
          autoComplete="off"
          onChange={({ currentTarget }) => shop.setFault(currentTarget.checked)}
        />
        <span>Drop the next reply</span>
      </label>
      <button type="button" className="primary" aria-busy={isBusy} onClick={onPay}>
        Pay
      </button>
      <p id="status" className="status" role="status">
        {status}
      </p>
      <p className="hint">{sent}</p>
    </section>
  );
}
