/** Histories that earlier explorations failed with, each for its own reason. */
import type { History } from "./world.ts";

const plain = {
  setting: "one tab",
  outlives: false,
  onChange: "resolve-first",
  hasInstance: true,
  rememberMs: 0,
  isOncekey: false,
  isSilent: false,
  startUp: "nothing",
  owner: "alice",
  mismatch: "replay",
  refusesOldKeys: false,
  skewMs: 0,
  faults: [],
} satisfies Omit<History, "events">;

const apple1 = { cart: "cart-1", lines: "apple" };
const pear1 = { cart: "cart-1", lines: "pear" };
const apple2 = { cart: "cart-2", lines: "apple" };
const pear2 = { cart: "cart-2", lines: "pear" };

export const FOUND: readonly History[] = [
  // The page ends before its slow storage removes what forgetAll gave up. The run that forgetAll aborted must write no record.
  {
    ...plain,
    setting: "one tab, slow storage",
    events: [
      { kind: "click", tab: 0, content: pear2, again: false },
      { kind: "forget own", tab: 0 },
      { kind: "click", tab: 0, content: apple2, again: false },
      { kind: "pass", ms: 150 },
      { kind: "forget own", tab: 0 },
    ],
  },
  // A page gives up a request that is charged; a later request under the same key is rightly refused.
  {
    ...plain,
    onChange: "hold",
    faults: ["stub answers", "reply cut off", "none", "portal page", "400 page"],
    events: [
      { kind: "click", tab: 0, content: pear1, again: false },
      { kind: "resume last", tab: 0 },
      { kind: "click", tab: 0, content: apple2, again: false },
      { kind: "click", tab: 0, content: apple1, again: false },
      { kind: "forget", tab: 0 },
      { kind: "pass", ms: 150 },
      { kind: "pass", ms: 1 },
    ],
  },
  // A page gives the same key up twice, the second time while the next intent is under way.
  {
    ...plain,
    faults: ["400 words"],
    events: [
      { kind: "click", tab: 0, content: apple1, again: false },
      { kind: "forget", tab: 0 },
      { kind: "click", tab: 0, content: apple1, again: false },
      { kind: "forget", tab: 0 },
      { kind: "click", tab: 0, content: apple1, again: false },
    ],
  },
  // A page dies with the answer that its key was another caller's. The next page cannot know, and takes that answer for an earlier one.
  {
    ...plain,
    setting: "two tabs, slow storage",
    onChange: "hold",
    faults: ["key of another caller"],
    events: [
      { kind: "click", tab: 0, content: apple2, again: false },
      { kind: "click", tab: 1, content: pear2, again: true },
      { kind: "pass", ms: 150 },
    ],
  },
  // A click while a run for a new operation is live gets the outcome of that.
  {
    ...plain,
    setting: "two tabs, no locks",
    events: [
      { kind: "click", tab: 0, content: apple1, again: false },
      { kind: "click", tab: 1, content: apple1, again: true },
      { kind: "pass", ms: 700 },
      { kind: "click", tab: 1, content: apple1, again: false },
      { kind: "click", tab: 0, content: apple1, again: false },
    ],
  },
  // A run for a new order ends with the earlier one. The same order waits in the other tab for a run of its own, and is sent then.
  {
    ...plain,
    setting: "two tabs, slow storage",
    onChange: "hold",
    mismatch: "reject",
    faults: ["reply replaced by 504", "400 page"],
    events: [
      { kind: "click", tab: 0, content: pear2, again: false },
      { kind: "click", tab: 1, content: apple2, again: true },
      { kind: "click", tab: 0, content: pear2, again: true },
      { kind: "click", tab: 0, content: apple2, again: false },
      { kind: "pass", ms: 6_000 },
    ],
  },
  // A user signs out in one tab; another tab has written a key and sends it before it hears of that.
  {
    ...plain,
    setting: "two tabs",
    events: [
      { kind: "click", tab: 1, content: apple2, again: false },
      { kind: "forget own", tab: 0 },
      { kind: "click", tab: 0, content: apple2, again: true },
      { kind: "forget own", tab: 1 },
    ],
  },
  // A user signs out while a refusal is on its way. The same order waits in another tab, which does not hear of it.
  {
    ...plain,
    setting: "two tabs, slow storage",
    faults: ["400 page"],
    events: [
      { kind: "click", tab: 0, content: pear2, again: false },
      { kind: "click", tab: 1, content: pear2, again: false },
      { kind: "pass", ms: 150 },
      { kind: "forget own", tab: 0 },
      { kind: "pass", ms: 150 },
    ],
  },
  // A page that has the outcome of its order ends while the user signs out. The order has ended all the same.
  {
    ...plain,
    setting: "one tab, slow storage",
    outlives: true,
    rememberMs: 10_000,
    events: [
      { kind: "click", tab: 0, content: apple1, again: false },
      { kind: "pass", ms: 150 },
      { kind: "pass", ms: 150 },
      { kind: "forget own", tab: 0 },
    ],
  },
  // The server refuses a key, its page ends, and the user signs out on the next, which ends as well. The storage removes the record.
  {
    ...plain,
    setting: "one tab, slow storage",
    outlives: true,
    faults: ["400 page"],
    events: [
      { kind: "click", tab: 0, content: apple1, again: false },
      { kind: "pass", ms: 50 },
      { kind: "pass", ms: 150 },
      { kind: "reload", tab: 0 },
      { kind: "forget own", tab: 0 },
    ],
  },
];
