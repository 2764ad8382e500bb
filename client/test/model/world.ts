/** Plays one history: clients, a server, a network and a shopper, and the ledger that judges them. */
import { emptyLedger, isBusy, openIntents, unreported } from "./ledger.ts";
import type { Content, Ledger, Seen } from "./ledger.ts";
import { observe } from "./observe.ts";
import { openOrigin } from "./origin.ts";
import type { Origin } from "./origin.ts";
import { createShopServer } from "./shop-server.ts";
import type { Fault, ShopRules, ShopServer } from "./shop-server.ts";
import { createShopper } from "./shopper.ts";
import type { Act, Shopper, StartUp } from "./shopper.ts";
import { openStorage } from "./shop-storage.ts";
import type { ShopStorage } from "./shop-storage.ts";
import type { TabOptions } from "./tab.ts";
import type { VirtualTime } from "./virtual-time.ts";

export const SETTINGS = [
  "one tab",
  "one tab, slow storage",
  "two tabs",
  "two tabs, slow storage",
  "two tabs, no locks",
] as const;

/** An event, after everything that the event before it caused waits for time to pass. */
export type Event =
  | Act
  | { readonly kind: "pass"; readonly ms: number }
  | { readonly kind: "server down"; readonly ms: number }
  /** A page of a later release goes on with a record. */
  | { readonly kind: "later release"; readonly at: number };

export interface History extends ShopRules, TabOptions {
  /**
   * Slow storages are as slow as a disk, so that a page can end between any two steps, also between report and release. Two tabs share
   * a storage, and locks unless the origin is plain http: there the record alone keeps the key one, for a cart that does not change.
   */
  readonly setting: (typeof SETTINGS)[number];
  /** Whether a slow storage still executes the calls of a page that has died. */
  readonly outlives: boolean;
  readonly startUp: StartUp;
  readonly owner: string;
  readonly skewMs: number;
  readonly faults: readonly Fault[];
  readonly events: readonly Event[];
}

const STORAGE_MS = 25;
/** Longer than a request and a run take. */
const CALM_MS = 60_000;
/** Longer than the writes take that follow the end of a run. */
const WRITES_MS = 2_000;

/** Resolves to the first violation, or `undefined`. */
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
  const { setting, hasInstance } = history;
  // The client's defaults.
  const { rememberMs = hasInstance ? Number.POSITIVE_INFINITY : 3_000 } = history;
  let ledger: Ledger = emptyLedger({ hasInstance, rememberMs });
  const note = (seen: Seen): void => {
    ledger = observe(ledger, seen, time.now());
  };
  const server = createShopServer(time, history, history.faults, {
    stored: (key, foreign) => note({ kind: "stored", key, foreign: JSON.stringify(foreign) }),
    refused: (key) => note({ kind: "refused", key }),
    charged: (key, content, value) =>
      note({ kind: "charged", key, value: JSON.stringify(value), ...content }),
  });
  const storage = openStorage((key) => note({ kind: "written", key }));
  const shopper = createShopper({
    ...history,
    ...storage,
    origin,
    server,
    slownessMs: setting.endsWith("slow storage") ? STORAGE_MS : 0,
    tabs: setting.startsWith("two tabs") ? 2 : 1,
    note,
  });
  const stage = { time, server, shopper, storage, note, ledger: () => ledger };
  for (const event of history.events) {
    await happen(setting === "two tabs, no locks" ? unchanged(event) : event, stage);
    if (ledger.violation !== undefined) return ledger.violation;
  }
  return calmDown(stage);
}

/** Ends all faults and settles everything that is open: a click of its owner has to be enough. */
async function calmDown(stage: Stage): Promise<string | undefined> {
  const { time, server, shopper, storage, note, ledger } = stage;
  server.heal();
  for (const key of storage.restore()) {
    note({ kind: "later left", key });
    note({ kind: "left behind", key });
  }
  shopper.act({ kind: "reload", tab: 0 });
  await time.pass(CALM_MS);
  for (const content of openIntents(ledger())) {
    const ending = await finish(content, stage);
    if (ending !== "settled") return `${JSON.stringify(content)} ended ${ending}`;
  }
  await time.pass(CALM_MS);
  const missed = unreported(ledger());
  return ledger().violation ?? (missed && `${missed} was charged and onSettled was never called`);
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
  readonly storage: ShopStorage;
  readonly note: (seen: Seen) => void;
  readonly ledger: () => Ledger;
}

async function happen(event: Event, stage: Stage): Promise<void> {
  const { time, server, shopper } = stage;
  if (event.kind === "pass") return time.pass(event.ms);
  if (event.kind === "later release") return release(event.at, stage);
  if (event.kind === "server down") server.goDown(event.ms);
  else shopper.act(event);
  return time.pass(0);
}

/** Has a later release rewrite a record. A later release takes the lock first, so no call of this release may be live. */
async function release(at: number, { time, storage, note, ledger }: Stage): Promise<void> {
  await time.pass(WRITES_MS);
  const key = storage.keys()[at % Math.max(1, storage.keys().length)];
  const content = key === undefined ? undefined : storage.kept(key);
  if (key === undefined || content === undefined || isBusy(ledger(), content)) return;
  if (!ledger().keys.has(key)) return;
  storage.upgrade(key);
  note({ kind: "later wrote", key });
}

/** Clicks as the owner. If the key is too old, giving it up makes room for another click. */
async function finish(content: Content, { shopper, time }: Stage): Promise<string> {
  const click = { kind: "click", tab: 0, content, again: false } as const;
  shopper.act({ kind: "sign in", owner: content.owner });
  await time.pass(CALM_MS);
  shopper.act(click);
  await time.pass(CALM_MS);
  if (shopper.last(0) !== "expired") return shopper.last(0);
  shopper.act({ kind: "forget", tab: 0 });
  await time.pass(CALM_MS);
  shopper.act(click);
  await time.pass(CALM_MS);
  return shopper.last(0);
}
