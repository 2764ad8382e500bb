/** A page for tests: the client in the page, in a worker and in a service worker. */
import type { BareShop, CallIn, Kept, Place } from "../bare-shop.ts";
import { call, callShop } from "./answer-calls.ts";
import type { Call } from "./answer-calls.ts";
import { checkStorage } from "./check-storage.ts";
import { openShop } from "./open-shop.ts";

function inWorker(kept: Kept): BareShop {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  return callShop(kept, (message, transfer) => worker.postMessage(message, transfer));
}

async function inServiceWorker(kept: Kept): Promise<BareShop> {
  await navigator.serviceWorker.register("/service-worker.js", { type: "module" });
  const { active } = await navigator.serviceWorker.ready;
  return callShop(kept, (message: Call, transfer) => active?.postMessage(message, transfer));
}

const given = Object.fromEntries(new URLSearchParams(location.search));
const { prefix = "/api", owner, backoffMs = 100, attempts = 4 } = given;
const settings = { prefix, owner, backoffMs: Number(backoffMs), attempts: Number(attempts) };
const OPEN: Readonly<Record<Place, () => BareShop | Promise<BareShop>>> = {
  page: () => openShop("localStorage", settings),
  worker: () => inWorker("localStorage"),
  "service-worker": () => inServiceWorker("localStorage"),
  "page with IndexedDB": () => openShop("IndexedDB"),
  "worker with IndexedDB": () => inWorker("IndexedDB"),
  "service-worker with IndexedDB": () => inServiceWorker("IndexedDB"),
};
/** Each is opened when it is first used. */
const shops = new Map<Place, Promise<BareShop>>();

const callIn: CallIn = async (place, method, values) => {
  const shop = shops.get(place) ?? Promise.resolve(OPEN[place]());
  shops.set(place, shop);
  return call(await shop, method, values);
};
Object.assign(globalThis, { callIn, checkStorage });
