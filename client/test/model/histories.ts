/** Arbitrary histories for fast-check, which shrinks them. */
import fc from "fast-check";
import { GATEWAY_FORMS, GATEWAY_STATUSES, RETENTION_MS } from "./answers.ts";
import type { GatewayFault } from "./answers.ts";
import { FAULTS } from "./shop-server.ts";
import type { Fault } from "./shop-server.ts";
import { NOBODY } from "./tab.ts";
import { SETTINGS } from "./world.ts";
import type { Event, History } from "./world.ts";

const MAX_FAULTS = 8;
const MAX_EVENTS = 10;
// An instant, a call of a slow storage, half a handler, a handler, a wait, a remembered key, an attempt, and a run.
// The last two are around the retention.
const PASSES_MS = [
  1,
  25,
  50,
  150,
  700,
  3_000,
  6_000,
  30_000,
  RETENTION_MS - 60_000,
  RETENTION_MS,
] as const;

const tab = fc.nat({ max: 1 });
const owner = fc.constantFrom("alice", "bob", NOBODY);
const content = fc.record({
  cart: fc.constantFrom("cart-1", "cart-2"),
  lines: fc.constantFrom("apple", "pear"),
});

const event: fc.Arbitrary<Event> = fc.oneof(
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constant("click" as const),
      tab,
      content,
      again: fc.oneof({ weight: 7, arbitrary: fc.constant(false) }, fc.constant(true)),
    }),
  },
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
      ms: fc.constantFrom(...PASSES_MS),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("sign in" as const), owner }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("forget own", "forget all"), tab }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("later release" as const), at: fc.nat({ max: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("server down" as const),
      ms: fc.constantFrom(200, 30_000),
    }),
  },
);

const gateway: fc.Arbitrary<Fault> = fc
  .tuple(fc.constantFrom(...GATEWAY_STATUSES), fc.constantFrom(...GATEWAY_FORMS))
  .map(([status, form]): GatewayFault => `${status} ${form}`);
const fault = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...FAULTS) },
  { weight: 3, arbitrary: gateway },
  // The refusals that look most like a reason to mint.
  { weight: 1, arbitrary: fc.constantFrom<Fault>("409 words", "409 json", "409 text") },
);

export const history: fc.Arbitrary<History> = fc.record({
  setting: fc.constantFrom(...SETTINGS),
  outlives: fc.boolean(),
  onChange: fc.constantFrom("resolve-first", "hold"),
  hasInstance: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, fc.constant(false)),
  rememberMs: fc.constantFrom(0, undefined, 10_000),
  isOncekey: fc.boolean(),
  isSilent: fc.boolean(),
  startUp: fc.constantFrom("nothing", "resumeAll", "confirm", "ask"),
  owner,
  mismatch: fc.constantFrom("replay", "reject"),
  refusesOldKeys: fc.boolean(),
  skewMs: fc.constantFrom(0, -2 * RETENTION_MS, 2 * RETENTION_MS),
  faults: fc.array(fault, { maxLength: MAX_FAULTS }),
  events: fc.array(event, { minLength: 1, maxLength: MAX_EVENTS }),
});
