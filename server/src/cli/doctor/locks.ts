/** Check that an advisory lock of one session is refused to another. */
import { tryLocks } from "../../store/maintenance/self-test.ts";
import { fail, ok } from "./finding.ts";
import type { Examine } from "./finding.ts";

const ADVICE = "use strategy 'unique', 'row' or 'lease': 'advisory' refuses to start here";

export const examineLocks: Examine = async ({ one, two }) => {
  const locks = await tryLocks(one, two);
  switch (locks) {
    case "shared":
      return ok("what one session holds is refused to another");
    case "not-shared":
      return fail("what one session holds is granted to another as well", ADVICE);
    case "absent":
      return fail("this engine has none that end with their transaction", ADVICE);
    default:
      return locks satisfies never;
  }
};
