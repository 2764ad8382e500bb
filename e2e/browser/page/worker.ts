/** A worker that runs the client: in one, a page's storage is out of reach. */
import { answer } from "./answer-calls.ts";
import type { Call } from "./answer-calls.ts";
import type { BareShop, Kept } from "../bare-shop.ts";
import { openShop } from "./open-shop.ts";

const shops = new Map<Kept, BareShop>();

function shopWith(kept: Kept): BareShop {
  const shop = shops.get(kept) ?? openShop(kept);
  shops.set(kept, shop);
  return shop;
}

addEventListener(
  "message",
  ({ data }: MessageEvent<Call>) => void answer(shopWith(data.kept), data),
);
