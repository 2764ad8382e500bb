import { expect, test } from "vitest";
import type { Mutant } from "./mutant.ts";
import { huntMutants } from "./mutation-run.ts";

test("an interruption while a bug is planted starts no hunt for it", async () => {
  const interruption = new AbortController();
  const mutant: Mutant = {
    name: "none",
    what: "nothing",
    hunt: "few",
    get edits() {
      interruption.abort();
      return [];
    },
  };
  expect(await huntMutants([mutant], interruption.signal)).toEqual({
    planned: 1,
    catches: [],
    control: { planned: 1, hunts: 0, alarms: 0 },
    broken: [],
  });
});
