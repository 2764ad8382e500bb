/**
 * The invariants, as a pure function: folds the observed events into a ledger, and names the first
 * violation.
 */
import { change, contentOf, isWaitedFor, mark, nameOf, violate, without } from "./ledger.ts";
import type { Call, Content, Ledger, Seen, Wish } from "./ledger.ts";

export function observe(before: Ledger, seen: Seen): Ledger {
  const ledger = { ...before, moment: before.moment + 1 };
  switch (seen.kind) {
    case "run":
      return begin(wish(ledger, seen), seen.kind, seen.call, seen);
    case "resume":
    case "check":
      return begin(ledger, seen.kind, seen.call, seen);
    case "left open":
      return { ...ledger, calls: without(ledger.calls, seen.call) };
    case "cut off":
      return cutOff(ledger, seen.call);
    case "left behind":
      return change(ledger, seen.key, { toldAt: undefined });
    case "sent":
      return send(ledger, seen.key, seen);
    case "stored":
      return change(ledger, seen.key, { isResolved: true });
    case "charged":
      return charge(ledger, seen.key, nameOf(seen), seen.value);
    case "forgotten":
      return giveUp(ledger, seen.key, seen);
    case "done":
      return tell(checkValue(ledger, seen), seen.call, seen.key);
    case "done before":
      return tellOfEarlier(ledger, seen.key, seen.value);
    case "rejected":
      return tell(deny(ledger, seen.call, seen.key), seen.call, seen.key);
    case "mismatch":
      return tell(ledger, seen.call, seen.key);
    case "earlier":
      return giveWay(ledger, seen.call, seen.key);
    default:
      return seen satisfies never;
  }
}

function wish(ledger: Ledger, content: Content): Ledger {
  const last = ledger.wishes.get(nameOf(content));
  if (last?.state === "open") return ledger;
  const next: Wish = { number: (last?.number ?? 0) + 1, state: "open", isCutOff: false };
  return { ...ledger, wishes: new Map([...ledger.wishes, [nameOf(content), next]]) };
}

function begin(ledger: Ledger, kind: Call["kind"], number: number, content: Content): Ledger {
  const call: Call = { kind, content, startedAt: ledger.moment };
  return { ...ledger, calls: new Map([...ledger.calls, [number, call]]) };
}

function send(ledger: Ledger, key: string, content: Content): Ledger {
  const own = ledger.keys.get(key);
  const name = nameOf(content);
  if (own?.wishes.has(name) === true) return ledger;
  let next = own === undefined ? leaveOthers(ledger, key, content) : ledger;
  const last = next.wishes.get(name);
  const isLeft = last?.state === "open" && last.isCutOff;
  if (!isWaitedFor(next, content) && !isResumed(next, content) && !isLeft) {
    next = violate(next, `${key} was sent for nobody`);
  }
  // A caller that still waits wants it again, although other lines came since or it was given up.
  if (last?.state === "overtaken" || last?.state === "given up") next = wish(next, content);
  if (last?.state === "told") next = violate(next, `${key} was sent for a wish that had ended`);
  const made = own ?? {
    cart: content.cart,
    wishes: new Map(),
    charged: [],
    isResolved: false,
    toldAt: undefined,
    denied: [],
  };
  const wishes = new Map([...made.wishes, [name, next.wishes.get(name)?.number ?? 0]]);
  return { ...next, keys: new Map([...next.keys, [key, { ...made, wishes }]]) };
}

// A resume may send any request that is kept under the key, even if its run was stopped before it
// was sent.
function isResumed({ calls }: Ledger, { cart }: Content): boolean {
  return [...calls.values()].some(
    ({ kind, content }) => kind === "resume" && content.cart === cart,
  );
}

/** A new key: it comes from settled or unused only, so that no other key of its cart may be left without an end. */
function leaveOthers(before: Ledger, key: string, { cart, lines }: Content): Ledger {
  let ledger = before;
  for (const [other, { cart: its, isResolved, wishes }] of ledger.keys) {
    if (its !== cart) continue;
    if (!isResolved) ledger = violate(ledger, `${key} was made while ${other} had no end`);
    for (const content of [...wishes.keys()].map(contentOf)) {
      if (content.lines !== lines) ledger = mark(ledger, content, "overtaken");
    }
  }
  return ledger;
}

function giveUp(ledger: Ledger, key: string, content: Content): Ledger {
  const own = ledger.keys.get(key);
  const contents = [...(own?.wishes.keys() ?? [])].map(contentOf);
  const next = change(ledger, key, { isResolved: true });
  return [content, ...contents].reduce((all, one) => mark(all, one, "given up"), next);
}

function charge(ledger: Ledger, key: string, name: string, value: string): Ledger {
  const own = ledger.keys.get(key);
  if (own === undefined) return violate(ledger, `${key} was charged and never sent`);
  const next = change(ledger, key, { charged: [...own.charged, { name, value }] });
  const total = [...next.keys.values()]
    .filter(({ wishes }) => wishes.get(name) === own.wishes.get(name))
    .reduce((sum, { charged }) => sum + charged.filter((one) => one.name === name).length, 0);
  if (total > 1) return violate(next, `${total} charges for one wish for ${name}`);
  return own.denied.includes(name) ? violate(next, `${key} was charged after its refusal`) : next;
}

function checkValue(ledger: Ledger, seen: Extract<Seen, { kind: "done" }>): Ledger {
  const { call: number, key, value } = seen;
  const call = ledger.calls.get(number);
  const charged = ledger.keys.get(key)?.charged.find((one) => one.value === value);
  // A resume may send any of the requests that were sent under the key.
  const isWanted =
    charged !== undefined &&
    call !== undefined &&
    (call.kind !== "run" || charged.name === nameOf(call.content));
  return isWanted ? ledger : violate(ledger, `${value} is not what ${key} was answered with`);
}

/**
 * Records that a new order's caller learned the outcome of an earlier order. It must be the answer
 * that the earlier order got.
 */
function tellOfEarlier(ledger: Ledger, key: string, value: string): Ledger {
  const charged = ledger.keys.get(key)?.charged.find((one) => one.value === value);
  if (charged === undefined)
    return violate(ledger, `${value} is not what ${key} was answered with`);
  const last = ledger.wishes.get(charged.name);
  const next = change(ledger, key, { toldAt: ledger.keys.get(key)?.toldAt ?? ledger.moment });
  const isOpen =
    last?.state === "open" && last.number === ledger.keys.get(key)?.wishes.get(charged.name);
  return isOpen ? mark(next, contentOf(charged.name), "told") : next;
}

function cutOff(ledger: Ledger, number: number): Ledger {
  const call = ledger.calls.get(number);
  const next = { ...ledger, calls: without(ledger.calls, number) };
  const name = call?.kind === "run" ? nameOf(call.content) : "";
  const last = next.wishes.get(name);
  if (last === undefined) return next;
  return { ...next, wishes: new Map([...next.wishes, [name, { ...last, isCutOff: true }]]) };
}

function deny(ledger: Ledger, number: number, key: string): Ledger {
  const own = ledger.keys.get(key);
  const call = ledger.calls.get(number);
  if (own === undefined || call === undefined) return ledger;
  const names = call.kind === "run" ? [nameOf(call.content)] : [...own.wishes.keys()];
  const next = change(ledger, key, { denied: [...own.denied, ...names] });
  const isCharged = own.charged.some(({ name }) => names.includes(name));
  return isCharged ? violate(next, `${key} was refused after its charge`) : next;
}

function giveWay(ledger: Ledger, number: number, key: string): Ledger {
  const call = ledger.calls.get(number);
  if (call === undefined) return violate(ledger, `the call ${number} ended and was not under way`);
  const next = { ...ledger, calls: without(ledger.calls, number) };
  // Which of the requests under the key a resume began with is not known.
  if (call.kind !== "run") return next;
  return mark({ ...deny(ledger, number, key), calls: next.calls }, call.content, "told");
}

function tell(ledger: Ledger, number: number, key: string): Ledger {
  const call = ledger.calls.get(number);
  if (call === undefined) return violate(ledger, `the call ${number} ended and was not under way`);
  const own = ledger.keys.get(key);
  const toldAt = own?.toldAt ?? ledger.moment;
  const calls = without(ledger.calls, number);
  const next = change({ ...ledger, calls }, key, { toldAt, isResolved: true });
  if (call.kind === "run" && toldAt < call.startedAt) {
    return violate(next, `${key} was settled, and used by a later run`);
  }
  // If a call stopped before anything was sent, the calls that wait go on.
  if (own === undefined && isWaitedFor(next, call.content)) return next;
  const name = own?.charged[0]?.name ?? nameOf(call.content);
  const last = ledger.wishes.get(name);
  // A late answer does not settle a newer `Wish`, nor other lines.
  const isEarlier = own !== undefined && own.wishes.get(name) !== last?.number;
  const isLate = isEarlier || last?.state === "overtaken";
  return isLate ? next : mark(next, contentOf(name), "told");
}
