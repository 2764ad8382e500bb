/** The migrated database that test files clone: made by the first that needs it. */
import { migrate } from "@oncekey/server";
import { Client, Pool } from "pg";

const TEMPLATE = "oncekey_template";
const DRAFT = "oncekey_template_draft";
/** "template" as ASCII. */
const LOCK = "8387215932023928933";

/**
 * Makes the template unless it exists. Test files run in several processes, so one works while the
 * others wait.
 *
 * @param urlOf The connection string for a database of the run's Postgres.
 * @returns The name of the database to clone.
 */
export async function ensureTemplate(urlOf: (database: string) => string): Promise<string> {
  const admin = new Client(urlOf("postgres"));
  await admin.connect();
  try {
    await admin.query("select pg_advisory_lock($1::bigint)", [LOCK]);
    const found = await admin.query("select from pg_database where datname = $1", [TEMPLATE]);
    if (found.rowCount === 0) await makeTemplate(admin, urlOf(DRAFT));
    return TEMPLATE;
  } finally {
    // Ends the session, and the lock with it.
    await admin.end();
  }
}

// Renamed when it is whole, so that one that failed half-way is never cloned.
async function makeTemplate(admin: Client, draftUrl: string): Promise<void> {
  await admin.query(`drop database if exists ${DRAFT} with (force)`);
  await admin.query(`create database ${DRAFT}`);
  const pool = new Pool({ connectionString: draftUrl, max: 1 });
  try {
    await migrate(pool);
  } finally {
    await pool.end();
  }
  await admin.query(`alter database ${DRAFT} rename to ${TEMPLATE}`);
}
