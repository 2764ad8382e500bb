/** The judge's state: all intents, calls and keys. Only the rules in `observe` change it. */

/** The order of an owner: lines of a cart. Until a page reports how it ended, every click on it is one intent. */
export interface Content {
  readonly owner: string;
  readonly cart: string;
  readonly lines: string;
}

/** Observable actions of the clients, the server and the shopper. */
export type Seen =
  | ({ readonly kind: "run"; readonly call: number; readonly again: boolean } & Content)
  | ({ readonly kind: "resume" | "check"; readonly call: number } & Content)
  /** A `resumeAll` of a page for this owner. */
  | { readonly kind: "start-up"; readonly call: number; readonly owner: string }
  /** The first record of the key is in the storage. */
  | { readonly kind: "written"; readonly key: string }
  /** `isLook`: asks for a stored response only. */
  | ({
      readonly kind: "sent";
      readonly key: string;
      readonly signedIn: string;
      readonly isLook: boolean;
    } & Content)
  /** The key has a stored response at the server. `foreign`: its value, if another caller used the key before. */
  | { readonly kind: "stored"; readonly key: string; readonly foreign?: string | undefined }
  /** The only request under the key was refused before the server looked at the key. */
  | { readonly kind: "refused"; readonly key: string }
  /** `value`: the response that the server stores. */
  | ({ readonly kind: "charged"; readonly key: string; readonly value: string } & Content)
  | ({ readonly kind: "forgotten"; readonly key: string } & Content)
  /** The page that gave the key up died before the storage removed its record: the next page finds the record. */
  | ({ readonly kind: "kept"; readonly key: string } & Content)
  /** `page` names the page whose call it is. */
  | ({ readonly kind: "done"; readonly value: string } & Report)
  /** Comes with the result of the call: an earlier order of the same cart was done. */
  | ({ readonly kind: "done before"; readonly value: string } & Report)
  | ({ readonly kind: "rejected" } & Report)
  /** Rejected because the key belongs to another request, whose outcome stays open. */
  | ({ readonly kind: "mismatch" } & Report)
  /** Rejected because the key may belong to an earlier request, whose record is kept. */
  | ({ readonly kind: "earlier" } & Report)
  /** The call ended and the intent did not. */
  | { readonly kind: "left open"; readonly call: number }
  /** The page of the call died. */
  | { readonly kind: "cut off"; readonly call: number }
  /** The page that reported the outcome died before it could release the record: the next page finds the record. */
  | { readonly kind: "left behind"; readonly key: string }
  /** `onSettled` was called. `value`: the value of a done operation. */
  | {
      readonly kind: "settled";
      readonly page: string;
      readonly key: string;
      readonly value: string | undefined;
    }
  /** A later release rewrote the record of the key, or is gone. */
  | { readonly kind: "later wrote" | "later left"; readonly key: string };

interface Report {
  readonly call: number;
  readonly key: string;
  readonly page: string;
}

/** Options of the operation that decide what counts as one intent. */
export interface LedgerRules {
  /** Whether the cart is the instance. Without an instance every content is its own. */
  readonly hasInstance: boolean;
  readonly rememberMs: number;
}

/** `overtaken`: settled, reported or not, and the cart has had other lines since. */
export type IntentState = "open" | "reported" | "overtaken" | "given up";

export interface Intent {
  readonly number: number;
  readonly state: IntentState;
  /** Whether a page died while it waited: its record goes on without it. */
  readonly isCutOff: boolean;
  /** Until when a click on the same content has to be a replay, by the true clock. */
  readonly rememberedUntil?: number | undefined;
}

export interface Call {
  readonly kind: "run" | "resume" | "check" | "start-up";
  readonly content: Content;
  /** Whether it asks for a new operation. */
  readonly again: boolean;
  /** The moment, and the time of it. A call that joins a live one of its place has the moment of that. */
  readonly startedAt: number;
  readonly time: number;
}

export interface Key {
  readonly place: string;
  /** By content that was sent under it: the number of the intent. */
  readonly intents: ReadonlyMap<string, number>;
  readonly charged: readonly { readonly name: string; readonly value: string }[];
  /** Whether it is settled at the server, or has been given up. */
  readonly isResolved: boolean;
  readonly isStored: boolean;
  /** Whether its last request was refused before the server looked at the key. */
  readonly isRefused: boolean;
  /** The stored value, if it is the answer to another caller. */
  readonly foreign: string | undefined;
  /** Contents that a page gave up, without those that are sent under the key afterwards. */
  readonly givenUp: readonly string[];
  /** The moment when its outcome was first reported, and the time of it. */
  readonly reportedAt: number | undefined;
  readonly reportTime: number;
  /** Contents that were reported as rejected: they must never be charged under it. */
  readonly denied: readonly string[];
  /** By content: the run that sent it last, if no other call of the place was live. */
  readonly sentBy: ReadonlyMap<string, number>;
}

export interface Ledger {
  readonly rules: LedgerRules;
  /** Number of things seen. */
  readonly moment: number;
  /** The true time in milliseconds. */
  readonly time: number;
  /** By content: its last intent. */
  readonly intents: ReadonlyMap<string, Intent>;
  /** The live calls, by number. */
  readonly calls: ReadonlyMap<number, Call>;
  readonly keys: ReadonlyMap<string, Key>;
  /** By key: when its record was first written. */
  readonly writtenAt: ReadonlyMap<string, number>;
  /** Pages and keys of which `onSettled` was called. */
  readonly settled: ReadonlySet<string>;
  /** Charges of each run. */
  readonly orders: ReadonlyMap<number, number>;
  /** Places whose record a later release wrote. */
  readonly later: ReadonlySet<string>;
  /** Keys that a page gave up between their record and their first request. */
  readonly unsent: ReadonlySet<string>;
  readonly violation: string | undefined;
}

export function emptyLedger(rules: LedgerRules): Ledger {
  return {
    rules,
    moment: 0,
    time: 0,
    intents: new Map(),
    calls: new Map(),
    keys: new Map(),
    writtenAt: new Map(),
    settled: new Set(),
    orders: new Map(),
    later: new Set(),
    unsent: new Set(),
    violation: undefined,
  };
}

/** Returns the contents that a shopper wants and whose outcome no page has reported. */
export function openIntents({ intents }: Ledger): Content[] {
  return [...intents].filter(([, { state }]) => state === "open").map(([name]) => contentOf(name));
}

/** Returns a charged key that no page reported, of a content that no page gave up. */
export function unreported({ keys, settled }: Ledger): string | undefined {
  const reported = new Set([...settled].map((name) => name.split(" ")[1]));
  const found = [...keys].find(([key, own]) => wanted(own).length > 0 && !reported.has(key));
  return found?.[0];
}

/** Returns the charges of contents that no page gave up. */
export function wanted({ charged, givenUp }: Key): Key["charged"] {
  return charged.filter(({ name }) => !givenUp.includes(name));
}

export function isAwaited({ calls }: Ledger, content: Content): boolean {
  return [...calls.values()].some(
    (call) => call.kind === "run" && nameOf(call.content) === nameOf(content),
  );
}

/** Whether a call of the place is live, or a start-up of its owner. */
export function isBusy({ calls, rules }: Ledger, content: Content): boolean {
  return [...calls.values()].some((call) => concerns(rules, call, content));
}

export function concerns(rules: LedgerRules, call: Call, content: Content): boolean {
  return call.kind === "start-up"
    ? call.content.owner === content.owner
    : placeOf(rules, call.content) === placeOf(rules, content);
}

export function change(ledger: Ledger, key: string, changed: Partial<Key>): Ledger {
  const own = ledger.keys.get(key);
  if (own === undefined) return ledger;
  return { ...ledger, keys: new Map([...ledger.keys, [key, { ...own, ...changed }]]) };
}

/** Changes the last intent of a content. */
export function mark(ledger: Ledger, content: Content, changed: Partial<Intent>): Ledger {
  const last = ledger.intents.get(nameOf(content));
  if (last === undefined) return ledger;
  const next = { ...last, ...changed };
  return { ...ledger, intents: new Map([...ledger.intents, [nameOf(content), next]]) };
}

export function without<Value>(
  map: ReadonlyMap<number, Value>,
  number: number,
): Map<number, Value> {
  return new Map([...map].filter(([other]) => other !== number));
}

export function violate(ledger: Ledger, violation: string): Ledger {
  return { ...ledger, violation: ledger.violation ?? violation };
}

/** Names what has one live operation at a time. */
export function placeOf({ hasInstance }: LedgerRules, content: Content): string {
  return hasInstance ? `${content.owner} ${content.cart}` : nameOf(content);
}

export function nameOf({ owner, cart, lines }: Content): string {
  return `${owner} ${cart} ${lines}`;
}

export function contentOf(name: string): Content {
  const [owner = "", cart = "", lines = ""] = name.split(" ");
  return { owner, cart, lines };
}
