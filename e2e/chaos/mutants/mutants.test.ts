import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { MUTANTS } from "./mutants.ts";
import { UNSEEN } from "./unseen.ts";

const ROOT = new URL("../../../", import.meta.url);

test.each(MUTANTS)(
  "the line that planted bug $name changes is still there, once",
  async (mutant) => {
    for (const { file, find, replace } of mutant.edits) {
      const text = await readFile(new URL(file, ROOT), "utf8");
      expect(text.split(find)).toHaveLength(2);
      expect(replace).not.toBe(find);
    }
  },
);

test.each(UNSEEN)("the test of a bug that no hunt shows is there: $kind", async (unseen) => {
  const text = await readFile(new URL(unseen.file, ROOT), "utf8");
  expect(text).toContain(unseen.title);
});
