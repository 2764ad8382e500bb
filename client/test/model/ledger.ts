/** Ledger of every `Wish`, call and key. Only the rules in `observe.ts` write to it. */

/**
 * Lines of a cart. Until its end is reported, every click on the same lines belongs to one `Wish`.
 */
export interface Content {
  readonly cart: string;
  readonly lines: string;
}

/** Observable events of the clients and the server. */
export type Seen =
  | ({ readonly kind: "run" | "resume" | "check"; readonly call: number } & Content)
  | ({ readonly kind: "sent" | "forgotten"; readonly key: string } & Content)
  /** The key has an end at the server. */
  | { readonly kind: "stored"; readonly key: string }
  /** With what the server stores as its answer. */
  | ({ readonly kind: "charged"; readonly key: string; readonly value: string } & Content)
  | { readonly kind: "done"; readonly call: number; readonly key: string; readonly value: string }
  /** Reported with the end of the call: an earlier order of the same cart was done, too. */
  | {
      readonly kind: "done before";
      readonly call: number;
      readonly key: string;
      readonly value: string;
    }
  | { readonly kind: "rejected"; readonly call: number; readonly key: string }
  /** Refused because the key belongs to another request, whose outcome is not reported. */
  | { readonly kind: "mismatch"; readonly call: number; readonly key: string }
  /** Refused for now, because the key may belong to an earlier request, which is kept. */
  | { readonly kind: "earlier"; readonly call: number; readonly key: string }
  /** The call ended, and the `Wish` stays open. */
  | { readonly kind: "left open"; readonly call: number }
  /** Its page did. */
  | { readonly kind: "cut off"; readonly call: number }
  /** The page that learned its end died before it could forget the key: the next page finds it. */
  | { readonly kind: "left behind"; readonly key: string };

/**
 * State of a `Wish`. `overtaken`: settled, reported or not, and the cart has had other lines since.
 */
export type WishState = "open" | "told" | "overtaken" | "given up";

export interface Wish {
  readonly number: number;
  readonly state: WishState;
  /** Whether a page died over it: what it has written down goes on without it. */
  readonly isCutOff: boolean;
}

export interface Call {
  readonly kind: "run" | "resume" | "check";
  readonly content: Content;
  readonly startedAt: number;
}

export interface Key {
  readonly cart: string;
  /** By content that was sent under the key: the number of its `Wish`. */
  readonly wishes: ReadonlyMap<string, number>;
  readonly charged: readonly { readonly name: string; readonly value: string }[];
  /** Whether it has an end at the server, or has been given up. */
  readonly isResolved: boolean;
  /** When its end was first reported. */
  readonly toldAt: number | undefined;
  /** Contents that were reported as refused under it: they must never be charged. */
  readonly denied: readonly string[];
}

export interface Ledger {
  /** Number of observed events. */
  readonly moment: number;
  /** By content: its last `Wish`. */
  readonly wishes: ReadonlyMap<string, Wish>;
  /** Calls under way, by number. */
  readonly calls: ReadonlyMap<number, Call>;
  readonly keys: ReadonlyMap<string, Key>;
  readonly violation: string | undefined;
}

export const EMPTY: Ledger = {
  moment: 0,
  wishes: new Map(),
  calls: new Map(),
  keys: new Map(),
  violation: undefined,
};

/** Returns the contents of the open entries. */
export function openWishes({ wishes }: Ledger): Content[] {
  return [...wishes].filter(([, { state }]) => state === "open").map(([name]) => contentOf(name));
}

export function isWaitedFor({ calls }: Ledger, content: Content): boolean {
  return [...calls.values()].some(
    (call) => call.kind === "run" && nameOf(call.content) === nameOf(content),
  );
}

export function change(ledger: Ledger, key: string, changed: Partial<Key>): Ledger {
  const own = ledger.keys.get(key);
  if (own === undefined) return ledger;
  return { ...ledger, keys: new Map([...ledger.keys, [key, { ...own, ...changed }]]) };
}

export function mark(ledger: Ledger, content: Content, state: WishState): Ledger {
  const last = ledger.wishes.get(nameOf(content));
  if (last === undefined) return ledger;
  return { ...ledger, wishes: new Map([...ledger.wishes, [nameOf(content), { ...last, state }]]) };
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

export function nameOf({ cart, lines }: Content): string {
  return `${cart} ${lines}`;
}

export function contentOf(name: string): Content {
  const [cart = "", lines = ""] = name.split(" ");
  return { cart, lines };
}
