import { fileURLToPath } from "node:url";
import type pg from "pg";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { oncekey, oncekeyInTerminal, oncekeyJson } from "./command.ts";
import { crashed } from "./crashed.ts";

const database = withDatabase();
let pool: pg.Pool;
let there: string[];
beforeAll(() => {
  pool = database.pool();
  there = ["--database-url", database.url];
});
beforeEach(() => pool.query("truncate oncekey.records, oncekey.decisions"));

const APP = fileURLToPath(new URL("lease-app.ts", import.meta.url));

interface Report {
  readonly resolved: number;
  readonly left: number;
  readonly records: { readonly key: string }[];
}

const decisions = async () =>
  (
    await pool.query(
      "select key, action, status, decided_by, reason from oncekey.decisions order by decided_at",
    )
  ).rows;

/** Lets the application of the command recover, whose onCrash returns `answer`. */
function recoverByApp(answer: unknown, ...more: string[]) {
  const env = { APP_DATABASE_URL: database.url, CRASH_ANSWER: JSON.stringify(answer) };
  return oncekey(["recover", "--app", APP, ...more], { env });
}

describe("oncekey recover without an answer", () => {
  it("ends with 0 if no key is crashed, and does nothing", async () => {
    expect(await oncekey(["recover", ...there])).toEqual({
      code: 0,
      out: "resolved 0 keys, 0 crashed left\n",
      err: "",
    });
  });

  it("lists the crashed keys and ends with 1, for cron", async () => {
    const { key, scope } = await crashed(pool);
    const { code, out } = await oncekey(["recover", ...there]);
    expect(code).toBe(1);
    expect(out).toMatch(new RegExp(`^${key}  ${scope}  POST /payments: crashed, no response`));
    expect(out).toMatch(/\nresolved 0 keys, 1 crashed left\n$/);
    expect(await oncekeyJson<Report>(["recover", ...there], 1)).toMatchObject({
      resolved: 0,
      left: 1,
      records: [{ key, state: "crashed" }],
    });
    expect(await decisions()).toEqual([]);
  });

  it("counts beyond the first page, and by its filters", async () => {
    for (let number = 0; number < 105; number += 1) await crashed(pool, { scope: "anna" });
    await crashed(pool, { scope: "bert", target: "POST /refunds/7" });
    const all = await oncekeyJson<Report>(["recover", ...there], 1);
    expect([all.left, all.records.length]).toEqual([106, 100]);
    expect((await oncekey(["recover", ...there])).out).toContain("\n… and 6 more\n");
    const one = await oncekeyJson<Report>(["recover", "--route", "POST /refunds/:id", ...there], 1);
    expect(one.left).toBe(1);
    const none = await oncekeyJson<Report>(["recover", "--older-than", "1h", ...there]);
    expect(none.left).toBe(0);
  });
});

describe("oncekey recover --status", () => {
  it("stores one answer for all keys of the filters, each with a row of the audit", async () => {
    const tickets = [];
    for (let number = 0; number < 3; number += 1)
      tickets.push(await crashed(pool, { scope: "anna" }));
    const other = await crashed(pool, { scope: "bert" });
    const line = ["--status", "402", "--body", '{"paid":false}', "--by", "anna", "--reason", "#7"];
    const filters = ["--scope", "anna", "--yes"];
    expect(await oncekeyJson<Report>(["recover", ...line, ...filters, ...there])).toEqual({
      resolved: 3,
      left: 0,
      records: [],
    });
    const { rows } = await pool.query(
      "select status, convert_from(body, 'UTF8') as body from oncekey.records where scope = 'anna'",
    );
    expect(rows).toEqual(tickets.map(() => ({ status: 402, body: '{"paid":false}' })));
    expect(await decisions()).toEqual(
      tickets.map(({ key }) => ({
        key,
        action: "resolved",
        status: 402,
        decided_by: "anna",
        reason: "#7",
      })),
    );
    const left = await oncekeyJson<Report>(["recover", ...there], 1);
    expect(left.records).toMatchObject([{ key: other.key }]);
  });

  it("keeps an encrypted record, because its answer has to be sealed, and ends with 1", async () => {
    // A fingerprint with the id of a key behind it.
    const { key } = await crashed(pool);
    await pool.query(
      "update oncekey.records set fingerprint = fingerprint || decode(repeat('01', 33), 'hex')",
    );
    const line = ["recover", "--status", "402", "--reason", "#7", "--yes"];
    const { code, out, err } = await oncekey([...line, ...there]);
    expect(code).toBe(1);
    expect(out).toContain("resolved 0 keys, 1 crashed left");
    expect(err).toBe(`kept ${key}: it is encrypted; resolve it in the application\n`);
  });

  it.runIf(process.platform === "linux")(
    "asks first (on Linux, where script makes a terminal)",
    async () => {
      await crashed(pool);
      const line = ["recover", "--status", "402", "--reason", "#7", ...there];
      const question = "Store status 402 for 1 crashed key? [y/N]";
      const no = await oncekeyInTerminal(line, { question, answer: "\r" });
      expect(no.out).toContain("nothing was resolved");
      expect(no.code).toBe(1);
      expect(await decisions()).toEqual([]);
      const yes = await oncekeyInTerminal(line, { question, answer: "y\r" });
      expect(yes.out).toContain("resolved 1 key, 0 crashed left");
      expect(yes.code).toBe(0);
    },
  );
});

describe("oncekey recover --app", () => {
  it("stores what the onCrash of the application returns, batch by batch, and ends with 0", async () => {
    for (let number = 0; number < 110; number += 1) await crashed(pool);
    const { code, out } = await recoverByApp({ status: 201, body: { charged: true } });
    expect([code, out]).toEqual([0, "resolved 110 keys, 0 crashed left\n"]);
    const audit = await decisions();
    expect(audit).toHaveLength(110);
    expect(audit[0]).toMatchObject({
      decided_by: "crash recovery",
      reason: "onCrash",
      status: 201,
    });
  });

  it("leaves a key that onCrash does not decide, lists it, and ends with 1", async () => {
    const { key } = await crashed(pool);
    const { code, out } = await recoverByApp("rerun", "--json");
    expect(code).toBe(1);
    expect(JSON.parse(out)).toMatchObject({ resolved: 0, left: 1, records: [{ key }] });
    expect(await decisions()).toEqual([]);
  });

  it("leaves the keys of other applications, whose routes it does not have", async () => {
    await crashed(pool, { target: "POST /elsewhere" });
    const { code, out } = await recoverByApp({ status: 201 });
    expect(code).toBe(1);
    expect(out).toContain("resolved 0 keys, 1 crashed left");
  });

  it("runs as a process, which ends by itself", async () => {
    await crashed(pool);
    const env = { APP_DATABASE_URL: database.url, CRASH_ANSWER: '"fail"' };
    const end = await oncekey(["recover", "--app", APP], { env, nodeArgs: ["--no-warnings"] });
    expect(end).toEqual({ code: 0, out: "resolved 1 key, 0 crashed left\n", err: "" });
  });

  it("ends with 3 if the database of the application does not answer", async () => {
    const env = { APP_DATABASE_URL: "postgres://somebody:secret@127.0.0.1:1/shop" };
    const { code, out, err } = await oncekey(["recover", "--app", APP], { env });
    expect([code, out]).toEqual([3, ""]);
    expect(err).toBe("error: connect ECONNREFUSED 127.0.0.1:1\n");
  });
});

describe("the command line of oncekey recover", () => {
  it.each<[reason: string, line: string[]]>([
    ["--status requires --reason", ["--status", "402"]],
    ["the question cannot be answered", ["--status", "402", "--reason", "#7"]],
    ["It must be a whole number from 200 to 499", ["--status", "500", "--reason", "#7"]],
    ["--fence must be at least", ["--status", "402", "--reason", "#7", "--fence", "1h", "--yes"]],
    ["It must be 1 to 1000 characters", ["--status", "402", "--reason", " "]],
    ["--body: ENOENT", ["--status", "402", "--reason", "#7", "--body", "@/absent", "--yes"]],
    ["it takes no --status", ["--app", APP, "--status", "402"]],
    ["absent.mjs did not start", ["--app", "/absent.mjs"]],
    [
      "must export a Fastify instance",
      ["--app", fileURLToPath(new URL("crashed.ts", import.meta.url))],
    ],
  ])("ends with 2 and one line of why: %s", async (reason, line) => {
    await crashed(pool);
    const { code, out, err } = await oncekey(["recover", ...line, ...there]);
    expect([code, out]).toEqual([2, ""]);
    expect(err).toContain(reason);
    expect(await decisions()).toEqual([]);
  });
});
