/** The page in the frame. Its clock and its connection are its own, so that both can be wrong. */
import { webStorage } from "@oncekey/client";
import { createAttemptFetch } from "../attempts.ts";
import { createOncekeyShop } from "../pay-with-oncekey.ts";
import type { DeviceScope } from "./device.ts";
import { BASE_URL, TIMEOUT_MS } from "./till.ts";

const scope: DeviceScope = {
  startDevice({ record, faults = [], attempts, clockOffMs = 0 }) {
    let isOnline = true;
    Object.defineProperty(navigator, "onLine", { get: () => isOnline });
    const now = Date.now;
    Date.now = () => now() + clockOffMs;
    const ahead = [...faults];
    const send = createAttemptFetch({ nextFault: () => ahead.shift(), record });
    const { placeOrder } = createOncekeyShop({
      baseUrl: BASE_URL,
      timeoutMs: TIMEOUT_MS,
      storage: webStorage(),
      // As a device without a connection does.
      fetch: (...request) =>
        isOnline ? send(...request) : Promise.reject(new TypeError("Failed to fetch")),
      attempts,
    });
    return {
      pay: (order) => placeOrder.run(order),
      setOnline(is) {
        isOnline = is;
        dispatchEvent(new Event(is ? "online" : "offline"));
      },
    };
  },
};
Object.assign(globalThis, scope);
