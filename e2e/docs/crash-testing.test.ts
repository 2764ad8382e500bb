import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { delimiter, dirname, join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { byDepth, isDeep } from "@oncekey/test-support/lanes/depth";
import { withDatabase } from "@oncekey/test-support/postgres/database";

const GUIDE = new URL("../../docs/guides/crash-testing.md", import.meta.url);
const SERVER = "server.js";
const TEST = "server.crash-test.js";

const database = withDatabase();

interface Ended {
  readonly isRight: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

type Change = readonly [file: string, from: string, to: string];

/** Runs the guide's two files as they stand there, but for the changes. */
async function runGuide(...changes: readonly Change[]): Promise<Ended> {
  const guide = await readFile(GUIDE, "utf8");
  // A folder in which the packages are found by their names.
  const folder = await mkdtemp(join(import.meta.dirname, "../node_modules/.crash-testing-"));
  try {
    await writeFile(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    for (const name of [SERVER, TEST]) {
      const own = changes.filter(([file]) => file === name);
      await writeFile(join(folder, name), own.reduce(apply, pastedFrom(guide, name)));
    }
    const env = {
      ...process.env,
      PATH: [dirname(process.execPath), process.env["PATH"]].join(delimiter),
      NODE_OPTIONS: "--conditions=@oncekey/source",
      DATABASE_URL: database.url,
    };
    const ended = promisify(execFile)(process.execPath, [TEST], { cwd: folder, env });
    return await ended.then(
      ({ stdout, stderr }) => ({ isRight: true, stdout, stderr }),
      (error: unknown) => ({ ...(error as Omit<Ended, "isRight">), isRight: false }),
    );
  } finally {
    await rm(folder, { recursive: true });
  }
}

function pastedFrom(guide: string, name: string): string {
  const [, found] = guide.slice(guide.indexOf(`\`${name}\``)).split("```", 2);
  return (found ?? "").replace(/^js\n/, "");
}

function apply(text: string, [, from, to]: Change): string {
  if (!text.includes(from)) throw new Error(`the guide no longer contains ${from}`);
  return text.replace(from, to);
}

async function withOrders(use: () => Promise<void>): Promise<void> {
  const pool = database.pool({ max: 1 });
  await pool.query(`
    create table if not exists orders (id serial primary key, lines text);
    create table if not exists ledger (note text);
  `);
  await use();
}

/** Each starts a dozen processes. It ends only what hangs. */
const LIMIT_MS = 300_000;

const ALL_POINTS = ["claimed", "handled", "commit-sent", "stored", "half-sent"];
/** Each point takes seconds. */
const SOME_POINTS = byDepth(["handled", "stored"], ALL_POINTS);
const ONLY_SOME: readonly Change[] = isDeep ? [] : [only(SOME_POINTS)];
const ONLY_HANDLED = only(["handled"]);

function only(points: readonly string[]): Change {
  return [TEST, "// listens on process.env.PORT", `points: ${JSON.stringify(points)},`];
}

it(
  "the guide's crash test passes, in under thirty lines: one effect at each crash point and without a crash",
  () =>
    withOrders(async () => {
      const guide = await readFile(GUIDE, "utf8");
      const lines = [SERVER, TEST].map((name) => pastedFrom(guide, name).trim().split("\n").length);
      expect(lines[0]).toBeLessThan(30);
      expect(lines[1]).toBeLessThan(30);
      const { isRight, stdout, stderr } = await runGuide(...ONLY_SOME);
      expect(stderr).toBe("");
      expect(isRight).toBe(true);
      const rows = stdout.match(/'[a-z-]+' +│ 201 +│ 1 /g) ?? [];
      expect(rows.map((row) => row.split("'")[1])).toEqual(["none", ...SOME_POINTS]);
    }),
  LIMIT_MS,
);

it(
  "the crash test follows a lease to its end: what a crash leaves open is answered once and for all, and never run again",
  () =>
    withOrders(async () => {
      const { isRight, stdout, stderr } = await runGuide(
        ...ONLY_SOME,
        [SERVER, "const { tx } = request.idempotency;", "const tx = pool;"],
        [
          SERVER,
          "idempotency: true",
          "idempotency: { strategy: 'lease', lease: { durationMs: 1_000, onCrash: 'fail' } }",
        ],
      );
      expect(stderr).toBe("");
      expect(isRight).toBe(true);
      if (isDeep) expect(stdout).toMatch(/'claimed' +│ 500 +│ 0 /);
      expect(stdout).toMatch(/'handled' +│ 500 +│ 1 /);
      expect(stdout).toMatch(/'stored' +│ 201 +│ 1 /);
    }),
  LIMIT_MS,
);

it(
  "the crash test fails where the handler writes beside its transaction",
  () =>
    withOrders(async () => {
      const change: Change = [SERVER, "const { tx } = request.idempotency;", "const tx = pool;"];
      const { isRight, stderr } = await runGuide(ONLY_HANDLED, change);
      expect(isRight).toBe(false);
      expect(stderr).toContain("handled: 2 effects behind a 201");
    }),
  LIMIT_MS,
);

it(
  "the crash test fails if one write of many goes past the transaction, to a table that the test does not name",
  () =>
    withOrders(async () => {
      const forgotten: Change = [
        SERVER,
        "return reply",
        "await pool.query(\"insert into ledger values ('sold')\");\n  return reply",
      ];
      const { isRight, stderr } = await runGuide(ONLY_HANDLED, forgotten);
      expect(isRight).toBe(false);
      expect(stderr).toContain("handled: 2 effects behind a 201: ledger by 2 instead of 1");
    }),
  LIMIT_MS,
);

it(
  "the crash test takes a function that prepares each request, and several counters",
  () =>
    withOrders(async () => {
      const prepared: Change = [
        TEST,
        'request: { path: "/orders", body: { lines: "two apples" } },',
        `request: async () => {
          await pool.query("insert into ledger values ('opened')");
          return { path: "/orders", body: { lines: crypto.randomUUID() } };
        },
        countEffects: {
          orders: async () => (await pool.query("select from orders")).rowCount ?? 0,
          lines: async () => (await pool.query("select distinct lines from orders")).rowCount ?? 0,
        },`,
      ];
      const { isRight, stdout, stderr } = await runGuide(ONLY_HANDLED, prepared);
      expect([stderr, isRight]).toEqual(["", true]);
      expect(stdout).toMatch(/'handled' +│ 201 +│ 1 /);
    }),
  LIMIT_MS,
);

it(
  "the crash test fails where the route is not protected",
  () =>
    withOrders(async () => {
      const { isRight, stderr } = await runGuide(
        ONLY_HANDLED,
        [SERVER, "const { tx } = request.idempotency;", "const tx = pool;"],
        [SERVER, "{ config: { idempotency: true } }", "{}"],
      );
      expect(isRight).toBe(false);
      expect(stderr).toContain("none: 17 effects behind a 201");
      expect(stderr).toContain("handled: not reached, and answered with 201");
    }),
  LIMIT_MS,
);
