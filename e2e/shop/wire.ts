/** Messages between the page and the shop. */

/** Request of a shopper to pay a cart. An amount that ends in .13 is declined. */
export interface Order {
  readonly cart: string;
  readonly amountCents: number;
}

/** Answer of the shop. */
export interface Receipt {
  readonly order: string;
  readonly charge: string;
  readonly amountCents: number;
}

/** The two ways to the same handler: the protected route and the bare one. */
export type Via = "oncekey" | "plain";

/** Number of charges of one cart on one way. */
export interface Count {
  readonly via: Via;
  readonly cart: string;
  readonly charges: number;
}
