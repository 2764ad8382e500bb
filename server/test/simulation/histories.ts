/** Every history that is worth playing, as fast-check makes and shrinks them. */
import fc from "fast-check";
import { PROCESSES } from "./world.ts";
import type { Asked, Event, History } from "./world.ts";

const MAX_ASKED = 4;
const MAX_EVENTS = 3;
const MAX_FAULTS = 6;
const MAX_PLANS = 3;
const MAX_CHANCES = 6;

const DAY_MS = 86_400_000;

const process = fc.nat({ max: PROCESSES - 1 });

// Mostly one key, one caller and one request: that is where they meet.
const asked: fc.Arbitrary<Asked> = fc.record({
  key: fc.oneof(
    { weight: 5, arbitrary: fc.constant("k1") },
    { weight: 1, arbitrary: fc.constant("k2") },
  ),
  scope: fc.oneof(
    { weight: 4, arbitrary: fc.constant("ada") },
    { weight: 1, arbitrary: fc.constant("eve") },
  ),
  content: fc.oneof(
    { weight: 4, arbitrary: fc.constant(0 as const) },
    { weight: 1, arbitrary: fc.constant(1 as const) },
  ),
  process,
  // At once, when an unrenewed lease has expired, or when every cache has dropped a forgotten record.
  afterMs: fc.oneof(
    { weight: 8, arbitrary: fc.constant(0) },
    { weight: 4, arbitrary: fc.constant(6_000) },
    { weight: 1, arbitrary: fc.constant(70_000) },
  ),
});

const event: fc.Arbitrary<Event> = fc
  .record({
    happening: fc.oneof(
      fc.record({ kind: fc.constantFrom("crash", "sweep", "forget"), process }),
      // Less than a lease and any retention, more than a lease, and more than any lock is waited for.
      fc.record({
        kind: fc.constant("pass" as const),
        ms: fc.constantFrom(1_000, 6_000, 30_000),
      }),
    ),
    // Among the first requests, or among those that may find what these have left.
    afterMs: fc.constantFrom(0, 6_000),
  })
  .map(({ happening, afterMs }) => ({ ...happening, afterMs }));

const rules = {
  strategy: fc.constantFrom("advisory", "unique", "row", "lease"),
  onCrash: fc.constantFrom("rerun", "fail"),
  mismatch: fc.constantFrom("replay", "reject"),
  inFlight: fc.constantFrom("wait", "reject"),
} as const;
// The time for which a key is remembered, as a multiple of its response's.
const fence = fc.constantFrom(1, 5);
const chances = fc.array(
  fc.nat({ max: 99 }).map((percent) => percent / 100),
  { maxLength: MAX_CHANCES },
);

const disturbed: fc.Arbitrary<History> = fc.record({
  // Longer than any history, shorter than a lease, and between a lease and the longest handler. A lease's own is never shorter.
  rules: fc
    .record({ ...rules, retentionMs: fc.constantFrom(DAY_MS, 2_000, 8_000), fence })
    .map(({ fence: times, ...one }) => {
      const atLeastMs = one.strategy === "lease" ? 8_000 : 0;
      const retentionMs = Math.max(one.retentionMs, atLeastMs);
      return { ...one, retentionMs, fenceMs: times * retentionMs };
    }),
  asked: fc.array(asked, { minLength: 1, maxLength: MAX_ASKED }),
  events: fc.array(event, { maxLength: MAX_EVENTS }),
  faults: fc.array(fc.constantFrom("none", "request lost", "answer lost"), {
    maxLength: MAX_FAULTS,
  }),
  plans: fc.array(fc.constantFrom("answer", "throw", "refuse", "linger"), { maxLength: MAX_PLANS }),
  chances,
});

const FIRST: Asked = { key: "k1", scope: "ada", content: 0, process: 1, afterMs: 0 };

/** Finishes one request undisturbed; repeats then arrive at another process while its record is deleted or expires. */
export const aftermath: fc.Arbitrary<History> = fc.record({
  rules: fc
    .record({ ...rules, retentionMs: fc.constantFrom(DAY_MS, 8_000), fence })
    .map(({ fence: times, ...one }) => ({ ...one, fenceMs: times * one.retentionMs })),
  asked: fc
    .array(
      fc.record({
        key: fc.constant(FIRST.key),
        scope: fc.constant(FIRST.scope),
        content: fc.constant(FIRST.content),
        process: fc.constantFrom(0, 0, 1),
        // Together, before a short retention ends, and when every cache has dropped a forgotten record.
        afterMs: fc.constantFrom(6_000, 6_000, 9_000, 70_000),
      }),
      { minLength: 2, maxLength: MAX_ASKED - 1 },
    )
    .map((repeated) => [FIRST, ...repeated]),
  events: fc.array(
    fc
      .oneof(
        fc.record({ kind: fc.constantFrom("sweep", "forget"), process }),
        // Between just before and just after the end of a short retention.
        fc.record({ kind: fc.constant("pass" as const), ms: fc.constant(6_000) }),
      )
      .map((happening): Event => ({ ...happening, afterMs: 6_000 })),
    { minLength: 1, maxLength: MAX_EVENTS },
  ),
  faults: fc.constant([]),
  plans: fc.constant([]),
  chances,
});

export const history: fc.Arbitrary<History> = fc.oneof(
  { weight: 4, arbitrary: disturbed },
  { weight: 1, arbitrary: aftermath },
);
