/** What is known of every wish, call and key: written by nobody but the rules. */

/** Lines of a cart. Until somebody is told how it ended, every click on them is one wish. */
export interface Content {
  readonly cart: string;
  readonly lines: string;
}

/** What can be seen of the clients and the server, from outside. */
export type Seen =
  | ({ readonly kind: "run" | "resume" | "check"; readonly call: number } & Content)
  | ({ readonly kind: "sent" | "forgotten"; readonly key: string } & Content)
  /** The key has an end at the server. */
  | { readonly kind: "stored"; readonly key: string }
  /** With what the server stores as its answer. */
  | ({ readonly kind: "charged"; readonly key: string; readonly value: string } & Content)
  | { readonly kind: "done"; readonly call: number; readonly key: string; readonly value: string }
  /** Told together with the end of the call: an earlier order of the same cart was done, too. */
  | {
      readonly kind: "done before";
      readonly call: number;
      readonly key: string;
      readonly value: string;
    }
  | { readonly kind: "rejected"; readonly call: number; readonly key: string }
  /** Refused because the key belongs to another request: what became of that one is not said. */
  | { readonly kind: "mismatch"; readonly call: number; readonly key: string }
  /** Refused for now, because the key may belong to an earlier request, which is kept. */
  | { readonly kind: "earlier"; readonly call: number; readonly key: string }
  /** The call ended without an end of the wish. */
  | { readonly kind: "left open"; readonly call: number }
  /** Its page did. */
  | { readonly kind: "cut off"; readonly call: number }
  /** The page that was told of its end died before it could forget the key: whoever comes next finds it. */
  | { readonly kind: "left behind"; readonly key: string };

/** `overtaken`: settled, told or not, and the cart has had other lines since. */
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
  /** By content that was sent under it: the number of the wish for it. */
  readonly wishes: ReadonlyMap<string, number>;
  readonly charged: readonly { readonly name: string; readonly value: string }[];
  /** Whether it has an end at the server, or has been given up. */
  readonly isResolved: boolean;
  /** When its end was first told. */
  readonly toldAt: number | undefined;
  /** Contents that were said not to have happened under it, and never to happen. */
  readonly denied: readonly string[];
}

export interface Ledger {
  /** How many things have been seen. */
  readonly moment: number;
  /** By content: the last wish for it. */
  readonly wishes: ReadonlyMap<string, Wish>;
  /** Those under way, by number. */
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

/** The contents that somebody wants and nobody was told of. */
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
