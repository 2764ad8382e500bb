/** The rules, as a pure function: folds what is seen into a ledger, and names the first violation. */
import {
  change,
  concerns,
  contentOf,
  isAwaited,
  isBusy,
  mark,
  nameOf,
  placeOf,
  violate,
  wanted,
  without,
} from "./ledger.ts";
import type { Call, Content, Intent, Key, Ledger, Seen } from "./ledger.ts";
import { RETENTION_MS } from "./answers.ts";
import { POLICY } from "./tab.ts";

/** A record is written, and a turn begins, at most this much later than it is asked for if nothing else runs. */
const SLACK_MS = 1_000;

export function observe(before: Ledger, seen: Seen, time: number): Ledger {
  const ledger = { ...before, moment: before.moment + 1, time };
  switch (seen.kind) {
    case "run":
      return run(ledger, seen);
    case "resume":
    case "check":
      return begin(ledger, seen.kind, seen.call, seen);
    case "start-up":
      return begin(ledger, seen.kind, seen.call, { owner: seen.owner, cart: "", lines: "" });
    case "left open":
      return { ...ledger, calls: without(ledger.calls, seen.call) };
    case "cut off":
      return cutOff(ledger, seen.call);
    case "left behind":
      return change(ledger, seen.key, { reportedAt: undefined });
    case "written":
      return ledger.writtenAt.has(seen.key)
        ? ledger
        : { ...ledger, writtenAt: new Map([...ledger.writtenAt, [seen.key, time]]) };
    case "sent":
      return send(checkOwner(ledger, seen), seen);
    case "stored":
      return change(ledger, seen.key, {
        isResolved: true,
        isStored: true,
        foreign: seen.foreign,
      });
    case "refused":
      return change(ledger, seen.key, { isResolved: true, isRefused: true });
    case "charged":
      return charge(ledger, seen.key, nameOf(seen), seen.value);
    case "forgotten":
      return giveUp(ledger, seen.key, seen);
    case "kept":
      return takeBack(ledger, seen.key, seen);
    case "done":
      return report(checkSettled(checkValue(ledger, seen), seen), seen.call, seen.key, true);
    case "done before":
      return reportEarlier(ledger, seen.key, seen.value);
    case "rejected":
      return report(deny(ledger, seen.call, seen.key), seen.call, seen.key, false);
    case "mismatch":
      return report(ledger, seen.call, seen.key, false);
    case "earlier":
      return stop(ledger, seen.call, seen.key);
    case "settled":
      return settle(ledger, seen);
    case "later wrote":
    case "later left":
      return setLater(ledger, seen.key, seen.kind === "later wrote");
    default:
      return seen satisfies never;
  }
}

function run(before: Ledger, seen: Extract<Seen, { kind: "run" }>): Ledger {
  const isFresh = seen.again || !isRemembered(before, seen);
  let ledger = isFresh ? intend(before, seen) : before;
  if (ledger.rules.hasInstance) {
    // A run with other lines may take the place of what is remembered.
    for (const content of [...ledger.intents.keys()].map(contentOf)) {
      const isSame = placeOf(ledger.rules, content) === placeOf(ledger.rules, seen);
      if (isSame && content.lines !== seen.lines)
        ledger = mark(ledger, content, { rememberedUntil: undefined });
    }
  }
  return begin(ledger, "run", seen.call, seen, seen.again);
}

/** Whether the client has to replay: the same content was done a short time ago, and nothing else disturbs the place. */
function isRemembered(ledger: Ledger, content: Content): boolean {
  const { state, rememberedUntil = 0 } = ledger.intents.get(nameOf(content)) ?? {};
  const isInTime = ledger.time + SLACK_MS < rememberedUntil;
  return state === "reported" && isInTime && !isBusy(ledger, content);
}

function intend(ledger: Ledger, content: Content): Ledger {
  const last = ledger.intents.get(nameOf(content));
  if (last?.state === "open") return ledger;
  const next: Intent = { number: (last?.number ?? 0) + 1, state: "open", isCutOff: false };
  return { ...ledger, intents: new Map([...ledger.intents, [nameOf(content), next]]) };
}

function begin(
  ledger: Ledger,
  kind: Call["kind"],
  number: number,
  content: Content,
  again = false,
): Ledger {
  // A run that asks for a new operation joins only its like. Any other gets the outcome of both.
  const live = [...ledger.calls.values()].filter(
    (one) => (one.again || !again) && concerns(ledger.rules, one, content),
  );
  const startedAt = Math.min(ledger.moment, ...live.map((one) => one.startedAt));
  const call: Call = { kind, content, again, startedAt, time: ledger.time };
  return { ...ledger, calls: new Map([...ledger.calls, [number, call]]) };
}

function checkOwner(ledger: Ledger, { key, owner, signedIn }: Extract<Seen, { kind: "sent" }>) {
  if (owner === signedIn) return ledger;
  return violate(ledger, `${key} of ${owner} was sent while ${signedIn} was signed in`);
}

function send(before: Ledger, seen: Extract<Seen, { kind: "sent" }>): Ledger {
  if (seen.isLook) return before;
  const { key } = seen;
  const place = placeOf(before.rules, seen);
  const name = nameOf(seen);
  let ledger = before;
  if (ledger.later.has(place))
    ledger = violate(ledger, `${key} was sent although a later release wrote the record`);
  const own = ledger.keys.get(key);
  if (own?.intents.has(name) === true) {
    // It may run now, unless the server has stored a response.
    const isResolved = own.isStored || own.givenUp.length > 0;
    return attribute(change(ledger, key, { isResolved, isRefused: false }), key, seen);
  }
  if (own === undefined) ledger = leaveOthers(ledger, key, seen);
  const last = ledger.intents.get(name);
  const isLeft = last?.state === "open" && last.isCutOff;
  if (!isAwaited(ledger, seen) && !isResumed(ledger, seen) && !isLeft)
    ledger = violate(ledger, `${key} was sent and nobody asked for it`);
  const isAgain = [...ledger.calls.values()].some(
    (call) => call.again && nameOf(call.content) === name,
  );
  // A run that began before other lines came, or before the key was given up, and still waits, is a new intent.
  // Another tab may send what this one has just given up, until it hears of it.
  const isGivenUp = ledger.unsent.has(key);
  if (!isGivenUp && (last?.state === "overtaken" || last?.state === "given up" || isAgain))
    ledger = intend(ledger, seen);
  else if (last?.state === "reported")
    ledger = violate(ledger, `${key} was sent for an intent that had ended`);
  const made: Key = own ?? {
    place,
    intents: new Map(),
    charged: [],
    isResolved: isGivenUp,
    isStored: false,
    isRefused: false,
    foreign: undefined,
    givenUp: isGivenUp ? [name] : [],
    reportedAt: undefined,
    reportTime: 0,
    denied: [],
    sentBy: new Map(),
  };
  const number = ledger.intents.get(name)?.number ?? 0;
  const next = { ...made, intents: new Map([...made.intents, [name, number]]) };
  return attribute({ ...ledger, keys: new Map([...ledger.keys, [key, next]]) }, key, seen);
}

/** Notes which run sent a content, if only one call of the place is live. */
function attribute(ledger: Ledger, key: string, content: Content): Ledger {
  const live = [...ledger.calls].filter(([, call]) => concerns(ledger.rules, call, content));
  const [[number, { kind }] = [0, { kind: "check" }]] = live;
  const sentBy = new Map(ledger.keys.get(key)?.sentBy);
  if (live.length === 1 && kind === "run") sentBy.set(nameOf(content), number);
  else sentBy.delete(nameOf(content));
  return change(ledger, key, { sentBy });
}

// A resume may send any request that is kept under the key, also one whose run was stopped before it sent.
function isResumed({ calls, rules }: Ledger, content: Content): boolean {
  return [...calls.values()].some(
    (call) =>
      (call.kind === "resume" || call.kind === "start-up") && concerns(rules, call, content),
  );
}

/** Checks that a client may mint: all other keys of the place are settled or were never used. */
function leaveOthers(before: Ledger, key: string, seen: Content): Ledger {
  let ledger = before;
  for (const [other, { place, isResolved, intents }] of ledger.keys) {
    if (place !== placeOf(ledger.rules, seen)) continue;
    if (!isResolved) ledger = violate(ledger, `${key} was made while ${other} was unresolved`);
    for (const content of [...intents.keys()].map(contentOf)) {
      if (content.lines !== seen.lines) ledger = mark(ledger, content, { state: "overtaken" });
    }
  }
  return ledger;
}

function giveUp(ledger: Ledger, key: string, content: Content): Ledger {
  const own = ledger.keys.get(key);
  const later = new Set([...ledger.later].filter((place) => place !== own?.place));
  const givenUp = [...(own?.intents.keys() ?? [])];
  const unsent = own === undefined ? new Set([...ledger.unsent, key]) : ledger.unsent;
  const next = change({ ...ledger, later, unsent }, key, { isResolved: true, givenUp });
  const changed = { state: "given up", rememberedUntil: undefined } as const;
  return intentsOf(ledger, key, content).reduce((all, one) => mark(all, one, changed), next);
}

function takeBack(ledger: Ledger, key: string, content: Content): Ledger {
  const own = ledger.keys.get(key);
  const unsent = new Set([...ledger.unsent].filter((other) => other !== key));
  const next = change({ ...ledger, unsent }, key, {
    isResolved: own?.isStored === true || own?.isRefused === true,
    givenUp: [],
  });
  const state = own?.reportedAt === undefined ? "open" : "reported";
  return intentsOf(ledger, key, content)
    .filter((one) => ledger.intents.get(nameOf(one))?.state === "given up")
    .reduce((all, one) => mark(all, one, { state, isCutOff: true }), next);
}

/** Returns the contents whose last intent is the one of this key: the content itself if nothing was sent under the key. */
function intentsOf(ledger: Ledger, key: string, content: Content): Content[] {
  const own = ledger.keys.get(key);
  if (own === undefined) return [content];
  return [...own.intents]
    .filter(([name, number]) => ledger.intents.get(name)?.number === number)
    .map(([name]) => contentOf(name));
}

function charge(ledger: Ledger, key: string, name: string, value: string): Ledger {
  const own = ledger.keys.get(key);
  if (own === undefined) return violate(ledger, `${key} was charged and never sent`);
  const charged = change(ledger, key, { charged: [...own.charged, { name, value }] });
  const next = countOrder(charged, own.sentBy.get(name));
  const total = [...next.keys.values()]
    .filter(({ intents }) => intents.get(name) === own.intents.get(name))
    .reduce((sum, { charged: all }) => sum + all.filter((one) => one.name === name).length, 0);
  if (total > 1) return violate(next, `${total} charges for one intent ${name}`);
  return own.denied.includes(name) ? violate(next, `${key} was charged after its refusal`) : next;
}

function countOrder(ledger: Ledger, call: number | undefined): Ledger {
  if (call === undefined) return ledger;
  const count = (ledger.orders.get(call) ?? 0) + 1;
  const next = { ...ledger, orders: new Map([...ledger.orders, [call, count]]) };
  return count > 1 ? violate(next, `run ${call} placed ${count} orders`) : next;
}

function checkValue(ledger: Ledger, seen: Extract<Seen, { kind: "done" }>): Ledger {
  const { call: number, key, value } = seen;
  const call = ledger.calls.get(number);
  const charged = ledger.keys.get(key)?.charged.find((one) => one.value === value);
  // A resume may end with any of the requests that were sent under the key.
  const isWanted =
    charged !== undefined &&
    call !== undefined &&
    (call.kind !== "run" || charged.name === nameOf(call.content));
  return isWanted ? ledger : violate(ledger, `${value} is not the response of ${key}`);
}

function checkSettled(ledger: Ledger, { key, page }: { key: string; page: string }): Ledger {
  if (ledger.settled.has(`${page} ${key}`)) return ledger;
  return violate(ledger, `${key} was done and onSettled was not called`);
}

function settle(before: Ledger, seen: Extract<Seen, { kind: "settled" }>): Ledger {
  const { page, key, value } = seen;
  const name = `${page} ${key}`;
  if (before.settled.has(name)) return violate(before, `onSettled was called twice for ${key}`);
  const ledger = { ...before, settled: new Set([...before.settled, name]) };
  const own = ledger.keys.get(key);
  if (value !== undefined) return reportEarlier(ledger, key, value);
  if (own === undefined) return ledger;
  const names = [...own.intents.keys()].filter((one) => !own.givenUp.includes(one));
  // A page may give up a request that is charged: another request under the same key is rightly refused afterwards.
  if (wanted(own).length > 0) return violate(ledger, `${key} was reported rejected and is charged`);
  const { moment, time } = ledger;
  return change(ledger, key, {
    denied: [...own.denied, ...names],
    isResolved: true,
    reportedAt: own.reportedAt ?? moment,
    reportTime: own.reportedAt === undefined ? time : own.reportTime,
  });
}

/** Notes an order that is done: with its value, and once for all. */
function reportEarlier(ledger: Ledger, key: string, value: string): Ledger {
  const own = ledger.keys.get(key);
  const charged = own?.charged.find((one) => one.value === value);
  if (own === undefined || (charged === undefined && !isUntold(ledger, own, value)))
    return violate(ledger, `${value} is not the response of ${key}`);
  const { moment, time } = ledger;
  const next = change(ledger, key, {
    reportedAt: own.reportedAt ?? moment,
    reportTime: own.reportedAt === undefined ? time : own.reportTime,
  });
  if (charged === undefined) return next;
  return endIntent(next, key, charged.name, true);
}

/** Whether the page that could have seen that the key was another caller's died with the answer: the next page cannot know. */
function isUntold({ intents }: Ledger, own: Key, value: string): boolean {
  const isLost = [...own.intents.keys()].some((name) => intents.get(name)?.isCutOff === true);
  return own.foreign === value && isLost;
}

/** Marks an intent as reported if it is the one that was sent under the key. */
function endIntent(ledger: Ledger, key: string, name: string, isDone: boolean): Ledger {
  const last = ledger.intents.get(name);
  const own = ledger.keys.get(key);
  // A late answer ends neither a later intent nor other lines that came since.
  const isEarlier = own !== undefined && own.intents.get(name) !== last?.number;
  if (isEarlier || last === undefined || last.state === "overtaken") return ledger;
  if (last.state === "reported") return ledger;
  const rememberedUntil =
    isDone && own?.givenUp.length === 0 ? rememberedAtLeastUntil(ledger, key) : 0;
  return mark(ledger, contentOf(name), { state: "reported", rememberedUntil });
}

function rememberedAtLeastUntil({ rules, time, writtenAt }: Ledger, key: string): number {
  const lifetimeEndsAt = (writtenAt.get(key) ?? 0) + RETENTION_MS - 2 * POLICY.deadlineMs;
  return Math.min(time + rules.rememberMs, lifetimeEndsAt - SLACK_MS);
}

function cutOff(ledger: Ledger, number: number): Ledger {
  const call = ledger.calls.get(number);
  const next = { ...ledger, calls: without(ledger.calls, number) };
  return call?.kind === "run" ? mark(next, call.content, { isCutOff: true }) : next;
}

function deny(ledger: Ledger, number: number, key: string): Ledger {
  const own = ledger.keys.get(key);
  const call = ledger.calls.get(number);
  if (own === undefined || call === undefined) return ledger;
  const refused = call.kind === "run" ? [nameOf(call.content)] : [...own.intents.keys()];
  // Other tabs do not hear of a key that is given up: if the same order waits there, it goes on under the key.
  const names = refused.filter((name) => !own.givenUp.includes(name));
  const next = change(ledger, key, { denied: [...own.denied, ...names] });
  const isCharged = own.charged.some(({ name }) => names.includes(name));
  return isCharged ? violate(next, `${key} was refused after its charge`) : next;
}

function stop(ledger: Ledger, number: number, key: string): Ledger {
  const call = ledger.calls.get(number);
  if (call === undefined) return violate(ledger, `call ${number} ended and was not live`);
  const next = { ...ledger, calls: without(ledger.calls, number) };
  // A resume does not show which of the requests under the key it sent.
  if (call.kind !== "run") return next;
  const denied = { ...deny(ledger, number, key), calls: next.calls };
  // It was not run. Another run of the same order that waits may send it.
  if (isAwaited(next, call.content)) return denied;
  return mark(denied, call.content, { state: "reported", rememberedUntil: undefined });
}

function report(ledger: Ledger, number: number, key: string, isDone: boolean): Ledger {
  const call = ledger.calls.get(number);
  if (call === undefined) return violate(ledger, `call ${number} ended and was not live`);
  const own = ledger.keys.get(key);
  const reportedAt = own?.reportedAt ?? ledger.moment;
  const reportTime = own?.reportedAt === undefined ? ledger.time : own.reportTime;
  const calls = without(ledger.calls, number);
  const changed = { reportedAt, reportTime, isResolved: true };
  const next = change({ ...ledger, calls }, key, changed);
  const isLater = call.kind === "run" && reportedAt < call.startedAt;
  const { rememberMs } = ledger.rules;
  const isReplay = isDone && rememberMs > 0 && call.time <= reportTime + rememberMs + SLACK_MS;
  if (isLater && (call.again || !isReplay))
    return violate(next, `${key} was settled, and used by a later run`);
  // A run that stopped before it sent anything ends nothing for the runs that wait.
  if (own === undefined && isAwaited(next, call.content)) return next;
  const name = own?.charged[0]?.name ?? nameOf(call.content);
  return endIntent(next, key, name, isDone);
}

function setLater(ledger: Ledger, key: string, isThere: boolean): Ledger {
  const place = ledger.keys.get(key)?.place ?? "";
  const others = [...ledger.later].filter((other) => other !== place);
  return { ...ledger, later: new Set(isThere ? [...others, place] : others) };
}
