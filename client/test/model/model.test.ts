import fc from "fast-check";
import { expect, test } from "vitest";
import { byDepth } from "@oncekey/test-support/lanes/depth";
import { FOUND } from "./found.ts";
import { history } from "./histories.ts";
import { withVirtualTime } from "./virtual-time.ts";
import { play } from "./world.ts";

// With those of the second test 20,000.
const RUNS = Number(process.env["ONCEKEY_RUNS"] ?? byDepth(500, 16_700));
// The same histories each time: a failure comes from the change under test. Another seed explores others, for example
// `ONCEKEY_SEED=$RANDOM npx -y pnpm@12 test:deep client/test/model`.
const SEED = Number(process.env["ONCEKEY_SEED"] ?? 20_261_124);
/** Ends only what hangs. */
const RUN_LIMIT_MS = 50;

test.each(FOUND.map((one, number) => ({ one, number })))(
  "reports no violation for history $number of those that once failed",
  ({ one }) =>
    withVirtualTime(one.skewMs, [], async (time) => {
      expect(await play(one, time)).toBeUndefined();
    }),
);

test(
  "runs each intent at most once and reports it truly, for arbitrary clicks, users, crashes, clocks, networks and servers",
  async () => {
    console.log(`${RUNS} histories, ONCEKEY_SEED=${SEED}`);
    const property = fc.asyncProperty(history, (one) =>
      withVirtualTime(one.skewMs, [], async (time) => {
        expect(await play(one, time)).toBeUndefined();
      }),
    );
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  },
  Math.max(600_000, RUNS * RUN_LIMIT_MS),
);

const TURNS = { minLength: 1, maxLength: 12 };
const TURN_RUNS = Math.ceil(RUNS / 5);

test(
  "does the same for every order of timers that are due at one instant",
  async () => {
    console.log(`${TURN_RUNS} histories, ONCEKEY_SEED=${SEED}`);
    const turns = fc.array(fc.nat({ max: 5 }), TURNS);
    const property = fc.asyncProperty(history, turns, (one, order) =>
      withVirtualTime(one.skewMs, order, async (time) => {
        expect(await play(one, time)).toBeUndefined();
      }),
    );
    await fc.assert(property, { numRuns: TURN_RUNS, seed: SEED });
  },
  Math.max(600_000, TURN_RUNS * RUN_LIMIT_MS),
);
