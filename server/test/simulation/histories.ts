/** Every history that is worth playing, as fast-check makes and shrinks them. */
import fc from "fast-check";
import { PROCESSES } from "./world.ts";
import type { Asked, Event, History } from "./world.ts";

const MAX_ASKED = 4;
const MAX_EVENTS = 3;
const MAX_FAULTS = 6;
const MAX_PLANS = 3;

const process = fc.nat({ max: PROCESSES - 1 });

// Mostly one key and one request: that is where they meet.
const asked: fc.Arbitrary<Asked> = fc.record({
  key: fc.oneof(
    { weight: 5, arbitrary: fc.constant("k1") },
    { weight: 1, arbitrary: fc.constant("k2") },
  ),
  content: fc.oneof(
    { weight: 4, arbitrary: fc.constant(0 as const) },
    { weight: 1, arbitrary: fc.constant(1 as const) },
  ),
  process,
  // At once, or when a lease is over that was not renewed.
  afterMs: fc.oneof(
    { weight: 3, arbitrary: fc.constant(0) },
    { weight: 1, arbitrary: fc.constant(6_000) },
  ),
});

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.record({ kind: fc.constant("crash" as const), process }),
  // Less than a lease, more than a lease, and more than any lock is waited for.
  fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(1_000, 6_000, 30_000) }),
  fc.record({ kind: fc.constant("sweep" as const), process }),
);

export const history: fc.Arbitrary<History> = fc.record({
  rules: fc.record({
    strategy: fc.constantFrom("advisory", "unique", "row", "lease"),
    onCrash: fc.constantFrom("rerun", "fail"),
    mismatch: fc.constantFrom("replay", "reject"),
    inFlight: fc.constantFrom("wait", "reject"),
  }),
  asked: fc.array(asked, { minLength: 1, maxLength: MAX_ASKED }),
  events: fc.array(event, { maxLength: MAX_EVENTS }),
  faults: fc.array(fc.constantFrom("none", "request lost", "answer lost"), {
    maxLength: MAX_FAULTS,
  }),
  plans: fc.array(fc.constantFrom("answer", "throw", "refuse", "linger"), { maxLength: MAX_PLANS }),
});
