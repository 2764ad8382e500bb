import pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { oncekey } from "./command.ts";
import { diagnose } from "./diagnose.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

/** A role of its own for what a test changes about its sessions. */
async function urlOfRole(name: string, settings: string): Promise<string> {
  await pool.query(`
    create role ${name} login password 'secret';
    grant usage on schema oncekey to ${name};
    grant select on all tables in schema oncekey to ${name};
    ${settings}`);
  const url = new URL(database.url);
  url.username = name;
  url.password = "secret";
  return url.href;
}

async function dropRole(name: string): Promise<void> {
  await pool.query(`drop owned by ${name}; drop role ${name}`);
}

describe("oncekey doctor on a database", () => {
  it("reports each check that passes, and changes nothing", async () => {
    const findings = await diagnose(database.url, 1);
    const holding = Object.keys(findings).filter((check) => findings[check]?.verdict === "ok");
    expect(holding).toEqual([
      "reachable",
      "engine",
      "primary",
      "pooler",
      "advisory locks",
      "clock",
      "schema",
      "partitions",
      "logged table",
      "rights",
      "dead rows",
      "sweep",
      "idle limit",
    ]);
    const { ONCEKEY_POSTGRES: major = "18" } = process.env;
    expect(findings["engine"]?.found).toMatch(
      new RegExp(`^PostgreSQL ${major}\\.\\d+: every strategy works$`),
    );
    expect(findings["pooler"]?.found).toContain("none");
  });

  it("gives people one line for each, with what to do, and a sum", async () => {
    const { code, out } = await oncekey(["doctor", "--database-url", database.url]);
    expect(code).toBe(1);
    expect(out).toMatch(/^ok {4}schema {10}"oncekey" is up to date \(0001_records\.sql\)$/m);
    expect(out).toMatch(/^fail {2}durability {6}fsync is off: .*; set fsync = on$/m);
    expect(out).toMatch(/\n\n13 ok, 2 to consider, 1 failed\n$/);
  });

  it("fails with that finding alone if the database does not answer", async () => {
    const findings = await diagnose("postgres://somebody:secret@127.0.0.1:1/shop", 1);
    expect(findings).toEqual({
      reachable: {
        check: "reachable",
        verdict: "fail",
        found: "no connection: connect ECONNREFUSED 127.0.0.1:1",
        advice: "check --database-url or the PG* variables, the network and pg_hba.conf",
      },
    });
  });

  it("fails where the tables are missing, and asks nothing more about them", async () => {
    const findings = await diagnose(database.url, 1, ["--schema", "absent"]);
    expect(findings["schema"]).toMatchObject({
      verdict: "fail",
      found: '"absent" lacks 0001_records.sql',
      advice: "run: oncekey migrate --schema absent",
    });
    expect(findings).not.toHaveProperty("logged table");
    expect(findings).toHaveProperty("durability");
  });

  it("warns where the tables are newer than itself", async () => {
    await pool.query("insert into oncekey.migrations (name) values ('9999_later.sql')");
    const { schema } = await diagnose(database.url, 1);
    await pool.query("delete from oncekey.migrations where name = '9999_later.sql'");
    expect(schema).toMatchObject({ verdict: "warn", found: expect.stringContaining("9999_later") });
  });

  it("fails where a crash would empty the table", async () => {
    await pool.query("alter table oncekey.records set unlogged");
    const findings = await diagnose(database.url, 1);
    await pool.query("alter table oncekey.records set logged");
    expect(findings["logged table"]).toMatchObject({
      verdict: "fail",
      advice: 'alter table "oncekey".records set logged',
    });
  });

  it("fails if the role may not write, and names the grants", async () => {
    const url = await urlOfRole("reader", "");
    const { rights } = await diagnose(url, 1);
    await dropRole("reader");
    expect(rights).toMatchObject({
      verdict: "fail",
      advice:
        'grant insert, update, delete on "oncekey".records to "reader"; grant insert on "oncekey".decisions to "reader"',
    });
  });

  it("fails if the role may write records and not the audit, and passes after the grant that it names", async () => {
    const url = await urlOfRole(
      "half",
      "grant insert, update, delete on oncekey.records to half; revoke all on oncekey.decisions from half",
    );
    const { rights } = await diagnose(url, 1);
    expect(rights).toMatchObject({
      verdict: "fail",
      found: 'half lacks select, insert on "oncekey".decisions',
    });
    await pool.query(rights?.advice ?? "");
    const granted = await diagnose(url, 1);
    await dropRole("half");
    expect(granted["rights"]).toMatchObject({
      verdict: "ok",
      found: "half may use the records and the audit of decisions",
    });
  });

  it("fails a check that it may not make, and makes the others", async () => {
    const url = await urlOfRole("stranger", "revoke all on oncekey.records from stranger");
    const findings = await diagnose(url, 1);
    await dropRole("stranger");
    expect(findings["sweep"]).toMatchObject({
      verdict: "fail",
      found: "could not be checked: permission denied for table records",
      advice: "check as the role of your application",
    });
    expect(findings).toHaveProperty("durability");
  });

  it("waits at most ten seconds for an answer, as when another session has locked the table", async () => {
    const client = await pool.connect();
    await client.query("begin; lock table oncekey.records in access exclusive mode");
    // The ten seconds pass in one.
    const hurry =
      "const wait = setTimeout; globalThis.setTimeout = (f, ms, ...more) => wait(f, ms === 10_000 ? 1_000 : ms, ...more)";
    const nodeArgs = ["--import", `data:text/javascript,${encodeURIComponent(hurry)}`];
    const findings = await diagnose(database.url, 1, [], { nodeArgs });
    await client.query("rollback");
    client.release();
    expect(Object.values(findings).at(-1)).toEqual({
      check: "sweep",
      verdict: "fail",
      found: "could not be checked: no answer within 10.0 s",
      advice: "see what holds it up in pg_stat_activity, and run this again",
    });
  });

  it("fails if an advisory lock is granted to every session, or if that is unknown", async () => {
    const bodies = {
      "what one session holds is granted to another as well": "language sql as 'select true'",
      "this engine has none that end with their transaction":
        "language plpgsql as $$ begin raise exception 'not supported' using errcode = '0A000'; end $$",
    };
    const url = new URL(database.url);
    url.searchParams.set("options", "-c search_path=shadow,pg_catalog,public");
    for (const [found, body] of Object.entries(bodies)) {
      await pool.query(`
        create schema if not exists shadow;
        create or replace function shadow.pg_try_advisory_xact_lock(bigint) returns boolean ${body}`);
      const findings = await diagnose(url.href, 1);
      expect(findings["advisory locks"]).toMatchObject({
        verdict: "fail",
        found,
        advice: expect.stringContaining("strategy 'unique'"),
      });
    }
  });

  it("warns where this machine's clock and the database's are apart", async () => {
    const aMinuteAhead = "const now = Date.now; Date.now = () => now() + 60_000";
    const nodeArgs = ["--import", `data:text/javascript,${encodeURIComponent(aMinuteAhead)}`];
    const { clock } = await diagnose(database.url, 1, [], { nodeArgs });
    expect(clock?.verdict).toBe("warn");
    expect(clock?.found).toMatch(
      /^the database's clock is (59\.\d|60\.\d) s behind this machine's$/,
    );
  });

  it("warns where expired rows have been left for long, or dead rows outnumber the live", async () => {
    const session = new pg.Client(database.url);
    await session.connect();
    await session.query(`
      alter table oncekey.records set (autovacuum_enabled = false);
      insert into oncekey.records (key, scope, target, fingerprint, created_at, expires_at)
      select gen_random_uuid()::text, 'anna', 'POST /payments', '\\x00', now(), now() - interval '1 hour'
      from generate_series(1, 12000);
      delete from oncekey.records where ctid <> (select min(ctid) from oncekey.records)`);
    // A session reports its statistics when it ends; version 14 takes a moment to receive them.
    await session.end();
    let findings: Awaited<ReturnType<typeof diagnose>> = {};
    await expect
      .poll(async () => {
        findings = await diagnose(database.url, 1);
        return findings["dead rows"]?.verdict;
      })
      .toBe("warn");
    expect(findings["sweep"]).toMatchObject({
      verdict: "warn",
      found: "1 expired record left, the oldest for 60 min",
      advice: expect.stringContaining("oncekey sweep"),
    });
    expect(findings["dead rows"]).toMatchObject({
      verdict: "warn",
      found: expect.stringMatching(/^11,999 dead rows beside \d+ live, last vacuumed never$/),
    });
  });

  it("warns of sessions that write nothing by default and of transactions cut off early", async () => {
    const url = await urlOfRole(
      "hasty",
      `alter role hasty set default_transaction_read_only = on;
       alter role hasty set idle_in_transaction_session_timeout = '2s'`,
    );
    const findings = await diagnose(url, 1);
    await dropRole("hasty");
    expect(findings["primary"]).toMatchObject({
      verdict: "warn",
      advice: expect.stringContaining("default_transaction_read_only = off"),
    });
    expect(findings["idle limit"]).toMatchObject({
      verdict: "warn",
      found: expect.stringContaining("after 2.0 s"),
    });
  });
});
