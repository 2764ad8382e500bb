import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { byDepth } from "@oncekey/test-support/lanes/depth";
import { history } from "./histories.ts";
import { withVirtualTime } from "./virtual-time.ts";
import { play } from "./world.ts";

// The machine's own timers, unaffected by the fakes of the globals.
vi.mock("node:timers/promises", () => ({
  setTimeout: (ms: number) => new Promise((resolve) => void globalThis.setTimeout(resolve, ms)),
}));

const RUNS = Number(process.env["ONCEKEY_RUNS"] ?? byDepth(2_000, 20_000));
const SEED = Number(process.env["ONCEKEY_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
/** Ends only what hangs. */
const RUN_LIMIT_MS = 50;

test(
  "whatever the order in which processes, statements, crashes and lost packets meet, a key has one effect and one answer",
  async () => {
    console.log(`${RUNS} interleavings, ONCEKEY_SEED=${SEED}`);
    const property = fc.asyncProperty(fc.scheduler(), history, (scheduler, one) =>
      withVirtualTime(one.chances, async (time) => {
        expect(await play(one, scheduler, time)).toBeUndefined();
      }),
    );
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  },
  Math.max(600_000, RUNS * RUN_LIMIT_MS),
);
