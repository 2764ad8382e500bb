import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { MUTANTS } from "./mutants.ts";

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
