/**
 * Engines behind the protocol of Postgres: detection, limits for the strategies, and how
 * transactions begin.
 */
import type { Pool, PoolClient } from "pg";
import { queryPlain } from "./plain-query.ts";
import { readOwnLimits } from "./timeouts.ts";
import type { OwnLimits } from "./timeouts.ts";

/**
 * The differences between engines. `citus`: the settings that its transactions begin with have to reach other nodes.
 * `isPartitioned`: the records have partitions by the day of a key.
 */
export type Dialect =
  | { readonly kind: "postgres"; readonly isPartitioned?: true }
  | { readonly kind: "citus"; readonly limits: OwnLimits };

/** The judgement of an engine, in a sentence; with `advice` unless all is well. */
export interface EngineJudgement {
  readonly verdict: "ok" | "warn" | "fail";
  readonly found: string;
  readonly advice?: string;
}

export interface DatabaseEngine {
  readonly dialect: Dialect;
  readonly judgement: EngineJudgement;
}

/** The answers of an engine about itself. */
export interface EngineFacts {
  /** The answer to `version()`. */
  readonly version: string;
  /** `server_version_num`, such as 180004. */
  readonly number: number;
  /** Version of the extension, if it is installed. */
  readonly citus: string | null;
  /** Whether there are days of keys: see `sql/partitioned.sql`. */
  readonly isPartitioned?: boolean;
  /** Whether Citus keeps the records in shards; `undefined` where there is no Citus. */
  readonly isDistributed?: boolean | undefined;
}

export const POSTGRES: Dialect = Object.freeze({ kind: "postgres" });
const PARTITIONED: Dialect = Object.freeze({ kind: "postgres", isPartitioned: true });

/** Asks an engine what it is. Reads only. Throws what the database throws. */
export async function readEngine(
  database: Pool | PoolClient,
  schema: string,
): Promise<DatabaseEngine> {
  const { rows } = await queryPlain<EngineFacts>(
    database,
    `select version() as version, current_setting('server_version_num')::int as number,
       (select extversion from pg_extension where extname = 'citus') as citus,
       to_regclass($1::text) is not null as "isPartitioned"`,
    [`"${schema}".days`],
  );
  const [facts] = rows;
  if (facts === undefined) throw new Error("the engine did not report its version");
  if (facts.citus === null) {
    const dialect = facts.isPartitioned === true ? PARTITIONED : POSTGRES;
    return { dialect, judgement: judgeEngine(facts) };
  }
  const distributed = await queryPlain<{ there: boolean }>(
    database,
    `select exists (
       select 1 from pg_dist_partition
       where logicalrelid = to_regclass($1::text) and partmethod = 'h'
     ) as there`,
    [`"${schema}".records`],
  );
  return {
    dialect: { kind: "citus", limits: await readOwnLimits(database) },
    judgement: judgeEngine({ ...facts, isDistributed: distributed.rows[0]?.there === true }),
  };
}

const OLDEST = 14;
const NEWEST = 18;

export function judgeEngine({
  version,
  number,
  citus,
  isDistributed,
}: EngineFacts): EngineJudgement {
  const name = version.split(" ").slice(0, 2).join(" ");
  const other = OTHERS.find(({ sign }) => sign.test(version));
  if (other !== undefined) return warn(`${other.name}, not PostgreSQL`, other.advice);
  if (!version.startsWith("PostgreSQL ")) {
    return warn(`${name}, which is not known to Oncekey`, "prove strategy 'unique' on it first");
  }
  const major = Math.floor(number / 10_000);
  if (major < OLDEST) {
    const advice = `upgrade to ${OLDEST} or later, up to ${NEWEST}`;
    return { verdict: "fail", found: `${name} is too old`, advice };
  }
  if (major > NEWEST) {
    return warn(
      `${name} is newer than what Oncekey was tested with`,
      `tested are ${OLDEST} to ${NEWEST}`,
    );
  }
  if (citus === null) return { verdict: "ok", found: `${name}: every strategy works` };
  if (isDistributed !== true) {
    return warn(
      `${name} with Citus ${citus}, whose records are in one place: a handler's writes to shards are commits on other nodes`,
      "distribute the records by scope, and the handlers' tables with them: oncekey sql --distributed",
    );
  }
  return {
    verdict: "ok",
    found: `${name} with Citus ${citus}, records distributed by scope: every strategy works, and is one commit on one node where the handler's tables are distributed by a column of the scope's type and collation`,
  };
}

function warn(found: string, advice: string): EngineJudgement {
  return { verdict: "warn", found, advice };
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
