import { writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type pg from "pg";
import { beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createStoreParts } from "../../src/store/store-parts.ts";
import type { Ticket } from "../../src/store/store.ts";
import { claimed, createTicket, RETENTION, response } from "../support/store-contract.ts";
import { oncekey, oncekeyJson } from "./command.ts";
import { crashed } from "./crashed.ts";

const database = withDatabase();
let pool: pg.Pool;
beforeAll(() => {
  pool = database.pool();
});

function resolve({ key, scope, target }: Ticket, ...more: string[]): string[] {
  const line = ["resolve", key, "--scope", scope, "--target", target, "--by", "anna"];
  return [...line, "--reason", "#7", "--database-url", database.url, ...more];
}

async function rowOf({ key }: Ticket) {
  const { rows } = await pool.query<{ status: number | null; headers: string; body: Buffer }>(
    "select status, headers, body from oncekey.records where key = $1",
    [key],
  );
  return rows[0];
}

const auditOf = async ({ key }: Ticket) =>
  (
    await pool.query(
      "select action, state, status, decided_by, reason from oncekey.decisions where key = $1",
      [key],
    )
  ).rows;

describe("oncekey resolve", () => {
  it("stores the answer for a crashed record with a row of the audit, and every retry gets it", async () => {
    const ticket = await crashed(pool);
    const answer = ["--status", "201", "--body", '{"charge":"ch_7"}'];
    const { code, out, err } = await oncekey(resolve(ticket, ...answer));
    expect([code, out, err]).toEqual([0, "POST /payments: resolved with status 201\n", ""]);
    const store = createLeaseStore(createStoreParts(pool, "oncekey"), 60_000);
    expect(await store.begin(ticket, RETENTION)).toMatchObject({
      kind: "replay",
      record: {
        response: {
          status: 201,
          headers: [["content-type", "application/json; charset=utf-8"]],
          body: Buffer.from('{"charge":"ch_7"}'),
        },
      },
    });
    expect(await auditOf(ticket)).toEqual([
      { action: "resolved", state: "crashed", status: 201, decided_by: "anna", reason: "#7" },
    ]);
  });

  it("reads the body from a file, byte by byte, and takes its type and lifetimes", async () => {
    const ticket = await crashed(pool);
    const file = join(tmpdir(), `${ticket.key}.bin`);
    await writeFile(file, Buffer.from([0xff, 0x00]));
    const answer = ["--status", "200", "--body", `@${file}`, "--content-type", "image/png"];
    const lifetimes = ["--retention", "2h", "--fence", "3d"];
    expect(await oncekeyJson(resolve(ticket, ...answer, ...lifetimes))).toEqual({
      outcome: "resolved",
    });
    expect(await rowOf(ticket)).toMatchObject({
      headers: '[["content-type","image/png"]]',
      body: Buffer.from([0xff, 0x00]),
    });
    const { rows } = await pool.query(
      `select (extract(epoch from expires_at - created_at) / 3600)::int as hours,
         (extract(epoch from fence_until - created_at) / 86400)::int as days
       from oncekey.records where key = $1`,
      [ticket.key],
    );
    expect(rows).toEqual([{ hours: 2, days: 3 }]);
  });

  it("ends with 1 and changes nothing if the record is absent, finished or running", async () => {
    const parts = createStoreParts(pool, "oncekey");
    const finished = createTicket();
    await (await claimed(createAdvisoryStore(parts), finished)).complete(response("made"), "keep");
    const running = createTicket();
    const claim = await claimed(createLeaseStore(parts, 60_000), running);
    for (const [outcome, ticket] of [
      ["absent", createTicket()],
      ["finished", finished],
      ["running", running],
    ] as const) {
      const line = resolve(ticket, "--status", "402");
      const end = await oncekey(line);
      expect([end.code, end.out]).toEqual([1, ""]);
      expect(end.err).toContain(outcome === "absent" ? "no record of key" : `it is ${outcome}`);
      expect(await oncekeyJson(line, 1)).toEqual({ outcome });
      expect(await auditOf(ticket)).toEqual([]);
    }
    expect(await rowOf(finished)).toMatchObject({ status: 201 });
    await claim.release("free");
  });

  it("has one winner of two that decide at once", async () => {
    const ticket = await crashed(pool);
    const ends = await Promise.all(
      ["402", "409"].map((status) => oncekey(resolve(ticket, "--status", status), NEW_PROCESS)),
    );
    expect(ends.filter(({ code }) => code === 0)).toHaveLength(1);
    expect(await auditOf(ticket)).toHaveLength(1);
  });

  it.each<[reason: string, more: string[]]>([
    ["required option '--status <status>' not specified", []],
    ["It must be a whole number from 200 to 499", ["--status", "503"]],
    ["--fence must be at least --retention", ["--status", "201", "--fence", "1h"]],
    ["It must be a number with s, m, h or d", ["--status", "201", "--retention", "5 days"]],
    ["--body: ENOENT", ["--status", "201", "--body", "@/absent"]],
    ["It must be 1 to 1000 characters", ["--status", "201", "--reason", ""]],
  ])("ends with 2 and one line of why: %s", async (reason, more) => {
    const ticket = await crashed(pool);
    const { code, out, err } = await oncekey(resolve(ticket, ...more));
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(reason);
    expect(await rowOf(ticket)).toMatchObject({ status: null });
  });

  it("ends with 2 without a target, and for an encrypted record, whose answer has to be sealed", async () => {
    const ticket = await crashed(pool);
    const { key, scope } = ticket;
    const line = ["resolve", key, "--scope", scope, "--status", "201", "--reason", "#7"];
    const there = ["--database-url", database.url];
    const bare = await oncekey([...line, ...there]);
    expect([bare.code, bare.err]).toEqual([
      2,
      "error: --target is required: one record is resolved\n",
    ]);
    await pool.query(
      "update oncekey.records set fingerprint = fingerprint || decode(repeat('01', 33), 'hex') where key = $1",
      [key],
    );
    const sealed = await oncekey(resolve(ticket, "--status", "201"));
    expect(sealed.code).toBe(2);
    expect(sealed.err).toContain("resolve it in the application");
  });
});

const NEW_PROCESS = { nodeArgs: ["--no-warnings"] };
