/** Which engine answers, and what follows for the choice of a strategy. */
import { fail, ok, warn } from "./finding.ts";
import type { Examine, Finding } from "./finding.ts";

/** What an engine says of itself. */
export interface EngineFacts {
  /** The answer to `version()`. */
  readonly version: string;
  /** `server_version_num`, such as 180004. */
  readonly number: number;
  /** Version of the extension, where it is installed. */
  readonly citus: string | null;
}

const OLDEST = 14;
const NEWEST = 18;

export const examineEngine: Examine = async ({ one }) => {
  const { rows } = await one.query<EngineFacts>(
    `select version() as version, current_setting('server_version_num')::int as number,
       (select extversion from pg_extension where extname = 'citus') as citus`,
  );
  const [facts] = rows;
  if (facts === undefined) throw new Error("the engine does not say what it is");
  return judgeEngine(facts);
};

export function judgeEngine({ version, number, citus }: EngineFacts): Omit<Finding, "check"> {
  const name = version.split(" ").slice(0, 2).join(" ");
  const other = OTHERS.find(({ sign }) => sign.test(version));
  if (other !== undefined) return warn(`${other.name}, not PostgreSQL`, other.advice);
  if (!version.startsWith("PostgreSQL ")) {
    return warn(`${name}, which is not known to Oncekey`, "prove strategy 'unique' on it first");
  }
  const major = Math.floor(number / 10_000);
  if (major < OLDEST) {
    return fail(`${name} is too old`, `upgrade to ${OLDEST} or later, up to ${NEWEST}`);
  }
  if (major > NEWEST) {
    return warn(
      `${name} is newer than what Oncekey was tested with`,
      `tested are ${OLDEST} to ${NEWEST}`,
    );
  }
  if (citus === null) return ok(`${name}: every strategy works`);
  return ok(
    `${name} with Citus ${citus}: every strategy works where the records are distributed by scope (oncekey sql --distributed)`,
  );
}

const OTHERS: readonly { readonly sign: RegExp; readonly name: string; readonly advice: string }[] =
  [
    {
      sign: /^CockroachDB/,
      name: "CockroachDB",
      advice: "use strategy 'unique' and let requests retry on 40001",
    },
    {
      sign: /-YB-/,
      name: "YugabyteDB",
      advice: "use strategy 'unique': its advisory locks are young and all in one tablet",
    },
  ];

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
