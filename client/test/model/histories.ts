/** Every history that is worth playing, as fast-check makes and shrinks them. */
import fc from "fast-check";
import { FAULTS, RETENTION_MS } from "./shop-server.ts";
import { SETTINGS } from "./world.ts";
import type { Event, History } from "./world.ts";

const MAX_FAULTS = 8;
const MAX_EVENTS = 8;

const tab = fc.nat({ max: 1 });
const content = fc.record({
  cart: fc.constantFrom("cart-1", "cart-2"),
  lines: fc.constantFrom("apple", "pear"),
});

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("click" as const), tab, content }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "reload",
        "resume pending",
        "resume last",
        "check pending",
        "check last",
        "forget",
        "abort",
      ),
      tab,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant("pass" as const),
      // An instant, a way to a slow storage, half a handler, a handler, a wait, an attempt, a run; less than a record is kept, and more.
      ms: fc.constantFrom(1, 25, 50, 150, 700, 6_000, 30_000, RETENTION_MS - 60_000, RETENTION_MS),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("server down" as const),
      ms: fc.constantFrom(200, 30_000),
    }),
  },
);

export const history: fc.Arbitrary<History> = fc.record({
  setting: fc.constantFrom(...SETTINGS),
  outlives: fc.boolean(),
  onChange: fc.constantFrom("resolve-first", "hold"),
  mismatch: fc.constantFrom("replay", "reject"),
  refusesOldKeys: fc.boolean(),
  skewMs: fc.constantFrom(0, -2 * RETENTION_MS, 2 * RETENTION_MS),
  faults: fc.array(fc.constantFrom(...FAULTS), { maxLength: MAX_FAULTS }),
  events: fc.array(event, { minLength: 1, maxLength: MAX_EVENTS }),
});
