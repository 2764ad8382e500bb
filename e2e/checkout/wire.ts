/** What the page and the shop say to each other. */

/** What a shopper sends to pay a cart. An amount that ends in .13 is declined. */
export interface Order {
  readonly cart: string;
  readonly amountCents: number;
}

/** What the shop answers with. */
export interface Receipt {
  readonly order: string;
  readonly charge: string;
  readonly amountCents: number;
}

/** The two ways to the same handler: the protected route and the bare one. */
export type Via = "oncekey" | "plain";

/** How often one cart was charged on one way. */
export interface Count {
  readonly via: Via;
  readonly cart: string;
  readonly charges: number;
}
