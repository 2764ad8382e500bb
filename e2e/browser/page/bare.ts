/** A page for tests: the client in the page, in a worker and in a service worker. */
import type { BareShop, CallIn, Place } from "../bare-shop.ts";
import { call, callShop } from "./answer-calls.ts";
import type { Call } from "./answer-calls.ts";
import { openShop } from "./open-shop.ts";

function inWorker(): BareShop {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return callShop((message, transfer) => worker.postMessage(message, transfer));
}

async function inServiceWorker(): Promise<BareShop> {
  await navigator.serviceWorker.register("/service-worker.js", { type: "module" });
  const { active } = await navigator.serviceWorker.ready;
  return callShop((message: Call, transfer) => active?.postMessage(message, transfer));
}

const OPEN: Readonly<Record<Place, () => BareShop | Promise<BareShop>>> = {
  page: openShop,
  worker: inWorker,
  "service-worker": inServiceWorker,
};
/** Each is opened when it is first used. */
const shops = new Map<Place, Promise<BareShop>>();

const callIn: CallIn = async (place, method, values) => {
  const shop = shops.get(place) ?? Promise.resolve(OPEN[place]());
  shops.set(place, shop);
  return call(await shop, method, values);
};
Object.assign(globalThis, { callIn });
