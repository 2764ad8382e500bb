/** `oncekey list` on a database with 100,000 rows. */
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { resolveRecord } from "../../src/store/maintenance/decisions.ts";
import { listRecords, writeCursor } from "../../src/store/maintenance/list.ts";
import { findRecords } from "../../src/store/maintenance/records.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import { RETENTION, response } from "../support/store-contract.ts";
import { oncekey, oncekeyJson } from "./command.ts";
import { crashed } from "./crashed.ts";

const database = withDatabase();
let pool: pg.Pool;
let there: string[];
beforeAll(async () => {
  pool = database.pool();
  there = ["--database-url", database.url];
  await pool.query(`
    insert into oncekey.records (key, scope, target, fingerprint, status, headers, created_at, expires_at, fence_until)
    select md5(n::text), 's' || n % 1000, 'POST /payments', '\\x01', 201, '[]', now() - n * interval '1 second',
      now() + interval '1 day', now() + interval '30 days'
    from generate_series(1, 100000) as n`);
  await pool.query(`
    insert into oncekey.records (key, scope, target, fingerprint, owner, lease_until, created_at, expires_at)
    select 'crashed-' || lpad(n::text, 3, '0'), 's', 'POST /refunds/7', '\\x01', gen_random_uuid(),
      now() - interval '1 minute', now() - n * interval '1 minute', now() + interval '30 days'
    from generate_series(1, 250) as n`);
  await pool.query("vacuum analyze oncekey.records");
});

interface Page {
  readonly records: { readonly key: string; readonly scope: string }[];
  readonly cursor?: string;
}

const list = (...options: string[]) => oncekeyJson<Page>(["list", ...options, ...there]);

describe("oncekey list on 100,000 records", () => {
  it("prints the page that app.idempotency.list returns, with the same cursor", async () => {
    for (const query of [{}, { state: "crashed" }, { state: "finished", scope: "s7" }] as const) {
      const options = Object.entries(query).flatMap(([name, value]) => [`--${name}`, value]);
      const page = await listRecords(pool, "oncekey", { ...query, limit: 100 }, undefined);
      expect(await list(...options)).toEqual(JSON.parse(JSON.stringify(page)));
    }
  });

  it("pages by the cursor in the order of the keys, each record once, and ends without one", async () => {
    const keys: string[] = [];
    let cursor: string | undefined;
    for (let read = 0; read < 5; read += 1) {
      const more = cursor === undefined ? [] : ["--cursor", cursor];
      const page = await list("--limit", "1000", ...more);
      keys.push(...page.records.map(({ key }) => key));
      ({ cursor } = page);
    }
    expect(keys).toHaveLength(5_000);
    const { rows } = await pool.query<{ key: string }>(
      "select key from oncekey.records order by key, scope, target limit 5000",
    );
    expect(keys).toEqual(rows.map(({ key }) => key));
    const { rows: last } = await pool.query<{ key: string; scope: string; target: string }>(
      "select key, scope, target from oncekey.records order by key desc, scope desc, target desc offset 99 limit 1",
    );
    const [near] = last.map(({ key, scope, target }) => writeCursor([key, scope, target]));
    const end = await list("--cursor", near ?? "");
    expect(end.records).toHaveLength(99);
    expect(end.cursor).toBeUndefined();
  });

  it("lists the crashed ones by the longest wait, filtered by route and age", async () => {
    const first = await list("--state", "crashed", "--limit", "2");
    expect(first.records.map(({ key }) => key)).toEqual(["crashed-250", "crashed-249"]);
    const old = await list("--state", "crashed", "--older-than", "4h");
    expect(old.records.at(-1)?.key).toBe("crashed-240");
    expect((await list("--state", "crashed", "--route", "POST /payments")).records).toEqual([]);
    expect((await list("--state", "crashed", "--route", "POST /refunds/:id")).records).toHaveLength(
      100,
    );
  });

  it("prints a line for each record, and the cursor of the next page beside them", async () => {
    const { code, out, err } = await oncekey([
      "list",
      "--state",
      "crashed",
      "--limit",
      "2",
      ...there,
    ]);
    expect(code).toBe(0);
    expect(out.split("\n")[0]).toMatch(
      /^crashed-250 {2}s {2}POST \/refunds\/7: crashed, no response, written 20.*, expires 20/,
    );
    const [, cursor = ""] = /^more: --cursor (\S+)\n$/.exec(err) ?? [];
    const next = await list("--state", "crashed", "--limit", "1", "--cursor", cursor);
    expect(next.records[0]?.key).toBe("crashed-248");
  });

  it("ends with 1 under --fail-if-any if a record is listed, else with 0", async () => {
    const any = await oncekey(["list", "--state", "crashed", "--fail-if-any", ...there]);
    expect(any.code).toBe(1);
    const none = await oncekey(["list", "--state", "failed", "--fail-if-any", ...there]);
    expect(none).toEqual({ code: 0, out: "", err: "nothing to list\n" });
  });

  it("lists the audit with --decisions, the newest first", async () => {
    const parts = createStoreParts(pool, "oncekey");
    for (const reason of ["#1", "#2"]) {
      const ticket = await crashed(pool, { scope: "audited" });
      const [record] = await findRecords(pool, "oncekey", ticket);
      if (record === undefined) throw new Error("no record");
      await resolveRecord(parts, record, response("made"), RETENTION, { by: "anna", reason });
    }
    const line = ["list", "--decisions", "--scope", "audited"];
    const page = await oncekeyJson<{ decisions: { reason: string }[] }>([...line, ...there]);
    expect(page.decisions.map(({ reason }) => reason)).toEqual(["#2", "#1"]);
    const { out } = await oncekey([...line, "--limit", "1", ...there]);
    expect(out).toMatch(/^20\S+ {2}resolved {2}\S+ POST \/payments of audited by anna: #2\n$/);
  });

  it.each<[reason: string, options: string[]]>([
    ["It must be one of running, crashed", ["--state", "stuck"]],
    ["It must be a whole number from 1 to 1000", ["--limit", "1001"]],
    ["It must be a number with s, m, h or d", ["--older-than", "1 week"]],
    ["cursor must be the cursor of the page before", ["--cursor", "abc"]],
    ["route must be", ["--route", "/payments"]],
  ])("ends with 2 and one line of why: %s", async (reason, options) => {
    const { code, out, err } = await oncekey(["list", ...options, ...there]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(reason);
  });
});
