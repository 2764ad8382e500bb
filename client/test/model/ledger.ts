/** What must hold, as a pure function: it folds what is seen into a ledger, and names the first thing that must not be. */

/** Lines of a cart. Until somebody is told how it ended, every click on them is one wish. */
export interface Content {
  readonly cart: string;
  readonly lines: string;
}

/** What can be seen of the clients and the server, from outside. */
export type Seen =
  | ({ readonly kind: "run" | "resume"; readonly call: number } & Content)
  | ({ readonly kind: "sent" | "forgotten"; readonly key: string } & Content)
  /** The key has an end at the server. */
  | { readonly kind: "stored"; readonly key: string }
  /** With what the server stores as its answer. */
  | { readonly kind: "charged"; readonly key: string; readonly value: string }
  | { readonly kind: "done"; readonly call: number; readonly key: string; readonly value: string }
  | { readonly kind: "rejected"; readonly call: number; readonly key: string }
  /** Refused because the key belongs to another request: what became of that one is not said. */
  | { readonly kind: "mismatch"; readonly call: number; readonly key: string }
  /** The call ended without an end of the wish, or its page did. */
  | { readonly kind: "left open"; readonly call: number };

/** `overtaken`: settled, told or not, and the cart has had other lines since. */
type WishState = "open" | "told" | "overtaken" | "given up";

interface Wish {
  readonly number: number;
  readonly state: WishState;
}

interface Call {
  readonly kind: "run" | "resume";
  readonly content: Content;
  readonly startedAt: number;
}

interface Key {
  readonly content: Content;
  /** Of the wish under which it was first sent. */
  readonly wish: number;
  readonly charged: readonly string[];
  /** Whether it has an end at the server, or has been given up. */
  readonly isResolved: boolean;
  /** When its end was first told. */
  readonly toldAt: number | undefined;
  readonly isDenied: boolean;
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

export function observe(before: Ledger, seen: Seen): Ledger {
  const ledger = { ...before, moment: before.moment + 1 };
  switch (seen.kind) {
    case "run":
      return begin(wish(ledger, seen), seen.kind, seen.call, seen);
    case "resume":
      return begin(ledger, seen.kind, seen.call, seen);
    case "left open":
      return { ...ledger, calls: without(ledger.calls, seen.call) };
    case "sent":
      return ledger.keys.has(seen.key) ? ledger : sendFirst(ledger, seen.key, seen);
    case "stored":
      return change(ledger, seen.key, { isResolved: true });
    case "charged":
      return charge(ledger, seen.key, seen.value);
    case "forgotten":
      return mark(change(ledger, seen.key, { isResolved: true }), seen, "given up");
    case "done":
      return tell(checkValue(ledger, seen), seen.call, seen.key);
    case "rejected":
      return tell(deny(ledger, seen.key), seen.call, seen.key);
    case "mismatch":
      return tell(ledger, seen.call, seen.key);
    default:
      return seen satisfies never;
  }
}

/** The contents that somebody wants and nobody was told of. */
export function openWishes({ wishes }: Ledger): Content[] {
  return [...wishes].filter(([, { state }]) => state === "open").map(([name]) => contentOf(name));
}

function wish(ledger: Ledger, content: Content): Ledger {
  const last = ledger.wishes.get(nameOf(content));
  if (last?.state === "open") return ledger;
  const next: Wish = { number: (last?.number ?? 0) + 1, state: "open" };
  return { ...ledger, wishes: new Map([...ledger.wishes, [nameOf(content), next]]) };
}

function begin(ledger: Ledger, kind: Call["kind"], number: number, content: Content): Ledger {
  const call: Call = { kind, content, startedAt: ledger.moment };
  return { ...ledger, calls: new Map([...ledger.calls, [number, call]]) };
}

/** A new key: it comes from settled or unused only, so that no other key of its cart may be left without an end. */
function sendFirst(before: Ledger, key: string, content: Content): Ledger {
  let ledger = before;
  for (const [other, { content: its, isResolved }] of ledger.keys) {
    if (its.cart !== content.cart) continue;
    if (!isResolved) ledger = violate(ledger, `${key} was made while ${other} had no end`);
    if (its.lines !== content.lines) ledger = mark(ledger, its, "overtaken");
  }
  const last = ledger.wishes.get(nameOf(content));
  if (!isWaitedFor(ledger, content)) ledger = violate(ledger, `${key} was made for nobody`);
  // Who asked before other lines came, or before it was given up, and still waits, wants it again.
  if (last?.state === "overtaken" || last?.state === "given up") ledger = wish(ledger, content);
  if (last?.state === "told") ledger = violate(ledger, `${key} was made for a wish that had ended`);
  const made: Key = {
    content,
    wish: ledger.wishes.get(nameOf(content))?.number ?? 0,
    charged: [],
    isResolved: false,
    toldAt: undefined,
    isDenied: false,
  };
  return { ...ledger, keys: new Map([...ledger.keys, [key, made]]) };
}

function charge(ledger: Ledger, key: string, value: string): Ledger {
  const own = ledger.keys.get(key);
  if (own === undefined) return violate(ledger, `${key} was charged and never sent`);
  const next = change(ledger, key, { charged: [...own.charged, value] });
  const total = [...next.keys.values()]
    .filter(({ content, wish: its }) => nameOf(content) === nameOf(own.content) && its === own.wish)
    .reduce((sum, { charged }) => sum + charged.length, 0);
  if (total > 1) return violate(next, `${total} charges for one wish for ${nameOf(own.content)}`);
  return own.isDenied ? violate(next, `${key} was charged after its refusal`) : next;
}

function checkValue(ledger: Ledger, { call, key, value }: Extract<Seen, { kind: "done" }>): Ledger {
  const own = ledger.keys.get(key);
  const wanted = ledger.calls.get(call)?.content;
  const isWanted =
    own !== undefined && wanted !== undefined && nameOf(own.content) === nameOf(wanted);
  if (isWanted && own.charged.includes(value)) return ledger;
  return violate(ledger, `${value} is not what ${key} was answered with`);
}

function deny(ledger: Ledger, key: string): Ledger {
  const next = change(ledger, key, { isDenied: true, isResolved: true });
  const isCharged = (ledger.keys.get(key)?.charged.length ?? 0) > 0;
  return isCharged ? violate(next, `${key} was refused after its charge`) : next;
}

function tell(ledger: Ledger, number: number, key: string): Ledger {
  const call = ledger.calls.get(number);
  if (call === undefined) return violate(ledger, `the call ${number} ended and was not under way`);
  const own = ledger.keys.get(key);
  const toldAt = own?.toldAt ?? ledger.moment;
  const next = change({ ...ledger, calls: without(ledger.calls, number) }, key, {
    toldAt,
    isResolved: true,
  });
  if (call.kind === "run" && toldAt < call.startedAt) {
    return violate(next, `${key} was settled, and used by a later run`);
  }
  // That one has stopped before anything was sent ends nothing for those who wait.
  if (own === undefined && isWaitedFor(next, call.content)) return next;
  const last = ledger.wishes.get(nameOf(call.content));
  // A late answer about an earlier wish says nothing about the one that is open.
  return own !== undefined && own.wish !== last?.number ? next : mark(next, call.content, "told");
}

function isWaitedFor({ calls }: Ledger, content: Content): boolean {
  return [...calls.values()].some(
    (call) => call.kind === "run" && nameOf(call.content) === nameOf(content),
  );
}

function change(ledger: Ledger, key: string, changed: Partial<Key>): Ledger {
  const own = ledger.keys.get(key);
  if (own === undefined) return ledger;
  return { ...ledger, keys: new Map([...ledger.keys, [key, { ...own, ...changed }]]) };
}

function mark(ledger: Ledger, content: Content, state: WishState): Ledger {
  const last = ledger.wishes.get(nameOf(content));
  if (last === undefined) return ledger;
  return { ...ledger, wishes: new Map([...ledger.wishes, [nameOf(content), { ...last, state }]]) };
}

function without<Value>(map: ReadonlyMap<number, Value>, number: number): Map<number, Value> {
  return new Map([...map].filter(([other]) => other !== number));
}

function violate(ledger: Ledger, violation: string): Ledger {
  return { ...ledger, violation: ledger.violation ?? violation };
}

function nameOf({ cart, lines }: Content): string {
  return `${cart} ${lines}`;
}

function contentOf(name: string): Content {
  const [cart = "", lines = ""] = name.split(" ");
  return { cart, lines };
}
