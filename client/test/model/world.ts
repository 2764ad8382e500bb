/** Plays one history: clients, a server, a network and a shopper, and the ledger that watches them. */
import { EMPTY, openWishes } from "./ledger.ts";
import type { Content, Ledger, Seen } from "./ledger.ts";
import { observe } from "./observe.ts";
import { openOrigin } from "./origin.ts";
import type { Origin } from "./origin.ts";
import { createShopServer } from "./shop-server.ts";
import type { Fault, ShopRules, ShopServer } from "./shop-server.ts";
import { createShopper } from "./shopper.ts";
import type { Act, Shopper } from "./shopper.ts";
import type { VirtualTime } from "./virtual-time.ts";

export const SETTINGS = [
  "one tab",
  "one tab, slow storage",
  "two tabs",
  "two tabs, slow storage",
  "two tabs, no locks",
] as const;

/** An event of a history. It happens once all work of the previous event waits for time to pass. */
export type Event =
  | Act
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "server down"; readonly ms: number };

export interface History extends ShopRules {
  readonly onChange: "resolve-first" | "hold";
  /**
   * `slow`: as slow as a disk can be, so that a page can end between any two steps, also between
   * the report and forgetting the key.
   * Two tabs share a storage, and locks too unless they are on a plain-http origin. There the
   * record alone holds the key, for a cart that does not change.
   */
  readonly setting: (typeof SETTINGS)[number];
  /** Whether what a page has asked of a slow storage still happens after the page has died. */
  readonly outlives: boolean;
  readonly skewMs: number;
  readonly faults: readonly Fault[];
  readonly events: readonly Event[];
}

const STORAGE_MS = 25;
/** Longer than a request is under way, and than a run takes. */
const CALM_MS = 60_000;

/** Resolves to what went wrong, or `undefined`. */
export async function play(history: History, time: VirtualTime): Promise<string | undefined> {
  const { setting } = history;
  const origin = openOrigin(time, setting !== "two tabs, no locks");
  try {
    return await playAt(origin, history, time);
  } finally {
    origin.restore();
  }
}

async function playAt(
  origin: Origin,
  history: History,
  time: VirtualTime,
): Promise<string | undefined> {
  const { setting } = history;
  let ledger: Ledger = EMPTY;
  const note = (seen: Seen): void => {
    ledger = observe(ledger, seen);
  };
  const server = createShopServer(time, history, history.faults, {
    stored: (key) => note({ kind: "stored", key }),
    refused: (key) => note({ kind: "stored", key }),
    charged: (key, content, value) =>
      note({ kind: "charged", key, value: JSON.stringify(value), ...content }),
  });
  const items = new Map<string, string>();
  const shopper = createShopper({
    origin,
    server,
    storage: {
      getItem: (name) => items.get(name) ?? null,
      setItem: (name, value) => void items.set(name, value),
      removeItem: (name) => void items.delete(name),
      getAllKeys: () => [...items.keys()],
    },
    kept: (key) => contentIn([...items.values()].find((text) => text.includes(key))),
    onChange: history.onChange,
    outlives: history.outlives,
    slownessMs: setting.endsWith("slow storage") ? STORAGE_MS : 0,
    tabs: setting.startsWith("two tabs") ? 2 : 1,
    note,
  });
  for (const event of history.events) {
    const next = setting === "two tabs, no locks" ? unchanged(event) : event;
    await happen(next, { time, server, shopper });
    if (ledger.violation !== undefined) return ledger.violation;
  }
  server.heal();
  shopper.act({ kind: "reload", tab: 0 });
  await time.pass(CALM_MS);
  for (const content of openWishes(ledger)) {
    const ending = await finish(content, shopper, time);
    if (ending !== "settled") return `${JSON.stringify(content)} ended ${ending}`;
  }
  await time.pass(CALM_MS);
  return ledger.violation;
}

/** Returns the content of a record of the storage. */
function contentIn(text: string | undefined): Content | undefined {
  if (text === undefined) return undefined;
  const { request } = JSON.parse(text) as { readonly request?: { readonly body: string } };
  // A settled record has no request.
  return request && (JSON.parse(request.body) as Content);
}

function unchanged(event: Event): Event {
  return event.kind === "click"
    ? { ...event, content: { ...event.content, lines: "apple" } }
    : event;
}

interface Stage {
  readonly time: VirtualTime;
  readonly server: ShopServer;
  readonly shopper: Shopper;
}

async function happen(event: Event, { time, server, shopper }: Stage): Promise<void> {
  if (event.kind === "pass") return time.pass(event.ms);
  if (event.kind === "server down") server.goDown(event.ms);
  else shopper.act(event);
  return time.pass(0);
}

/**
 * Once all is well again, a click settles every `Wish`, unless its key is too old: then giving it
 * up makes room.
 */
async function finish(content: Content, shopper: Shopper, time: VirtualTime): Promise<string> {
  shopper.act({ kind: "click", tab: 0, content });
  await time.pass(CALM_MS);
  if (shopper.last(0) !== "expired") return shopper.last(0);
  shopper.act({ kind: "forget", tab: 0 });
  await time.pass(CALM_MS);
  shopper.act({ kind: "click", tab: 0, content });
  await time.pass(CALM_MS);
  return shopper.last(0);
}
