/** Every check of the doctor, in the order in which a person would ask. */
import type { Pool, PoolClient } from "pg";
import { withDeadline } from "../../async/deadline.ts";
import { acquire, giveBack } from "../../store/postgres/connection.ts";
import { isConnectionFailure } from "../../store/postgres/transaction.ts";
import { describeFailure } from "../io/database.ts";
import { formatDuration } from "../io/print.ts";
import { examineClock, examinePooler, examineReach } from "./connection.ts";
import { examineEngine, examinePrimary } from "./server-version.ts";
import { fail } from "./finding.ts";
import type { Check, Finding, Patient } from "./finding.ts";
import { examineLocks } from "./locks.ts";
import {
  examineDeadClients,
  examineDurability,
  examineIdleLimit,
  examineKeepalives,
} from "./settings.ts";
import { examinePartitions } from "./partitions.ts";
import {
  examineBloat,
  examineLogged,
  examineRights,
  examineSchema,
  examineSweep,
} from "./table.ts";

const DATABASE: readonly Check[] = [
  { name: "reachable", examine: examineReach },
  { name: "engine", examine: examineEngine },
  { name: "primary", examine: examinePrimary },
  { name: "pooler", examine: examinePooler },
  { name: "advisory locks", examine: examineLocks },
  { name: "clock", examine: examineClock },
  { name: "schema", examine: examineSchema },
];

const TABLE: readonly Check[] = [
  { name: "partitions", examine: examinePartitions },
  { name: "logged table", examine: examineLogged },
  { name: "rights", examine: examineRights },
  { name: "dead rows", examine: examineBloat },
  { name: "sweep", examine: examineSweep },
];

const SETTINGS: readonly Check[] = [
  { name: "idle limit", examine: examineIdleLimit },
  { name: "keepalives", examine: examineKeepalives },
  { name: "dead clients", examine: examineDeadClients },
  { name: "durability", examine: examineDurability },
];

/** Runs all checks on a database. A check that cannot be made becomes a finding: this never throws. */
export async function examine(pool: Pool, schema: string): Promise<Finding[]> {
  const sessions: PoolClient[] = [];
  try {
    const one = await connect(pool, sessions);
    const two = await connect(pool, sessions);
    return await examineAll({ one, two, schema });
  } catch (error) {
    const found = `no connection: ${describeFailure(error, schema)}`;
    const advice = "check --database-url or the PG* variables, the network and pg_hba.conf";
    return [{ check: "reachable", verdict: "fail", found, advice }];
  } finally {
    // Closed rather than given back: a check that got no answer may still be waiting for it.
    for (const session of sessions) giveBack(session, true);
  }
}

async function connect(pool: Pool, sessions: PoolClient[]): Promise<PoolClient> {
  const session = await acquire(pool);
  sessions.push(session);
  return session;
}

async function examineAll(patient: Patient): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const { name, examine: ask } of [...DATABASE, ...TABLE, ...SETTINGS]) {
    // The remaining checks need the tables; `schema` has reported that they are missing.
    if (TABLE.some((check) => check.name === name) && isFailed(findings, "schema")) continue;
    try {
      findings.push({ check: name, ...(await inTime(ask(patient))) });
    } catch (error) {
      findings.push({ check: name, ...unanswered(error, patient) });
      if (isConnectionFailure(error)) break;
    }
    // Statement mode ends a session that begins a transaction: it can be asked nothing more.
    if (isFailed(findings, "pooler")) break;
  }
  return findings;
}

// A locked table or a cut line gives no answer at all.
const ANSWER_MS = 10_000;

function inTime<Result>(asked: Promise<Result>): Promise<Result> {
  return withDeadline(asked, ANSWER_MS, () => {
    throw new Error(`no answer within ${formatDuration(ANSWER_MS)}`);
  });
}

function isFailed(findings: readonly Finding[], name: string): boolean {
  return findings.some(({ check, verdict }) => check === name && verdict === "fail");
}

function unanswered(error: unknown, { schema }: Patient): Omit<Finding, "check"> {
  return fail(
    `could not be checked: ${describeFailure(error, schema)}`,
    isConnectionFailure(error)
      ? "see what holds it up in pg_stat_activity, and run this again"
      : "check as the role of your application",
  );
}
