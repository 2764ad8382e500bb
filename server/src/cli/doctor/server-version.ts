/** Checks of the server: its engine and version, and whether it takes writes. */
import { readEngine } from "../../store/postgres/dialect.ts";
import { fail, ok, warn } from "./finding.ts";
import type { Examine } from "./finding.ts";

export const examineEngine: Examine = async ({ one, schema }) =>
  (await readEngine(one, schema)).judgement;

export const examinePrimary: Examine = async ({ one }) => {
  const { rows } = await one.query<{ is_standby: boolean; is_read_only: boolean }>(
    `select pg_is_in_recovery() as is_standby,
       current_setting('default_transaction_read_only')::boolean as is_read_only`,
  );
  if (rows[0]?.is_standby) {
    return fail("a standby, which takes no writes", "connect to the primary");
  }
  if (rows[0]?.is_read_only) {
    return warn(
      "a primary, but sessions of this role are read-only by default",
      "set default_transaction_read_only = off for your application's role",
    );
  }
  return ok("a primary, which takes writes");
};
