/** A worker that runs the client: in one, a page's storage is out of reach. */
import { answer } from "./answer-calls.ts";
import type { Call } from "./answer-calls.ts";
import { openShop } from "./open-shop.ts";

const shop = openShop();
addEventListener("message", ({ data }: MessageEvent<Call>) => void answer(shop, data));
