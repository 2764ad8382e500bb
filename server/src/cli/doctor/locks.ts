/** Whether an advisory lock that one session holds is refused to another. */
import { randomInt } from "node:crypto";
import type { PoolClient } from "pg";
import { sqlState } from "../../store/transaction.ts";
import { fail, ok } from "./finding.ts";
import type { Examine } from "./finding.ts";

const ADVICE = "use strategy 'unique', 'row' or 'lease': 'advisory' refuses to start here";

export const examineLocks: Examine = async ({ one, two }) => {
  // A number of this check's own, so that nobody else's lock is taken for it.
  const id = String(randomInt(2 ** 47));
  try {
    await one.query("begin");
    await two.query("begin");
    const isHeld = await tryLock(one, id);
    const isHeldTwice = await tryLock(two, id);
    if (isHeld && !isHeldTwice) return ok("what one session holds is refused to another");
    return fail("what one session holds is granted to another as well", ADVICE);
  } catch (error) {
    const state = sqlState(error);
    if (state !== "42883" && state !== "0A000") throw error;
    return fail("this engine has none that end with their transaction", ADVICE);
  } finally {
    await Promise.allSettled([one.query("rollback"), two.query("rollback")]);
  }
};

async function tryLock(client: PoolClient, id: string): Promise<boolean> {
  const { rows } = await client.query<{ locked: boolean }>(
    "select pg_try_advisory_xact_lock($1::bigint) as locked",
    [id],
  );
  return rows[0]?.locked === true;
}
