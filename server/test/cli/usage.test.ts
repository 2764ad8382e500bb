import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { oncekey, oncekeyProcess } from "./command.ts";

const database = withDatabase({ from: "empty" });

const NOBODY = ["--database-url", "postgres://somebody:secret@127.0.0.1:1/shop"];
const OF_A_KEY = ["some-key", "--scope", "anna"];

describe("the command line", () => {
  it("prints its commands and the meaning of its exit codes", async () => {
    const { code, out } = await oncekey(["--help"]);
    expect(code).toBe(0);
    const records = ["inspect", "list", "resolve", "recover", "forget", "sweep", "stats"];
    for (const name of ["migrate", "sql", "doctor", ...records, "ui"]) {
      expect(out).toMatch(new RegExp(`^  ${name} `, "m"));
    }
    expect(out).toContain("Exit codes: 0 done");
  });

  it("knows its version", async () => {
    const file = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    const { code, out } = await oncekey(["--version"]);
    expect([code, out.trim()]).toEqual([0, (JSON.parse(file) as { version: string }).version]);
  });

  it("ends with 2 and one line of why where it cannot be carried out", async () => {
    const lines: [args: string[], reason: string][] = [
      [[], "Usage: oncekey"],
      [["swep"], "unknown command 'swep'"],
      [["stats", "--verbose"], "unknown option '--verbose'"],
      [["inspect", "--scope", "anna"], "missing required argument 'key'"],
      [["inspect", "some-key"], "required option '--scope <scope>' not specified"],
      [
        ["forget", '"half', "--scope", "anna", "--reason", "test"],
        "is not a whole structured-field string",
      ],
      [["stats", "--schema", 'a"; drop table b'], "It must match ^[a-z_]"],
      [["migrate", "--schema", "a".repeat(64)], "It must match ^[a-z_]"],
    ];
    const ends = await Promise.all(lines.map(([args]) => oncekey(args)));
    for (const [index, { code, out, err }] of ends.entries()) {
      expect([code, out]).toEqual([2, ""]);
      expect(err).toContain(lines[index]?.[1]);
    }
  });

  it("does not repeat an address that is none, because it may hold a password", async () => {
    for (const url of ["mysql://me:secret@host/db", "postgres://me:secret@[host/db"]) {
      const { code, err } = await oncekey(["stats", "--database-url", url]);
      expect(code).toBe(2);
      expect(err).toMatch(/^error: --database-url must be a URL like postgres:.*\n$/);
      expect(err).not.toContain("secret");
    }
  });

  it("ends with 3 if the database does not answer, and keeps the password out of the message", async () => {
    const commands = [
      ["migrate"],
      ["inspect", ...OF_A_KEY],
      ["forget", ...OF_A_KEY, "--reason", "test", "--yes"],
      ["list"],
      ["resolve", ...OF_A_KEY, "--target", "t", "--status", "402", "--reason", "test"],
      ["recover"],
      ["sweep"],
      ["stats"],
    ];
    const ends = await Promise.all(commands.map((args) => oncekey([...args, ...NOBODY])));
    for (const { code, out, err } of ends) {
      expect([code, out]).toEqual([3, ""]);
      expect(err).toBe("error: connect ECONNREFUSED 127.0.0.1:1\n");
    }
  });

  it("names every address it tried where a host has several", async () => {
    const { code, err } = await oncekey(["stats", "--database-url", "postgres://localhost:1/shop"]);
    expect(code).toBe(3);
    expect(err).toContain("ECONNREFUSED 127.0.0.1:1");
  });

  it("ends with 3 if the tables are missing, and prints how to make them", async () => {
    const there = ["--database-url", database.url, "--schema", "absent"];
    const commands = [
      ["inspect", ...OF_A_KEY],
      ["forget", ...OF_A_KEY, "--reason", "test", "--yes"],
      ["list"],
      ["list", "--decisions"],
      ["recover"],
      ["sweep"],
      ["stats", "--json"],
    ];
    const ends = await Promise.all(commands.map((args) => oncekey([...args, ...there])));
    for (const { code, err } of ends) {
      expect(code).toBe(3);
      expect(err).toContain("create it with: oncekey migrate --schema absent");
    }
  });

  it("takes the database from the usual PG variables", async () => {
    const { hostname, port, username, password, pathname } = new URL(database.url);
    const env = {
      PGHOST: hostname,
      PGPORT: port,
      PGUSER: username,
      PGPASSWORD: password,
      PGDATABASE: pathname.slice(1),
    };
    const { code, out } = await oncekey(["migrate"], { env });
    expect([code, out]).toEqual([0, "applied 0001_records.sql\n"]);
  });

  it("prints and ends as a process as it does when it is called", async () => {
    const lines = [["--version"], ["swep"], ["stats", ...NOBODY], ["sql"]];
    for (const args of lines) expect(await oncekeyProcess(args)).toEqual(await oncekey(args));
  });

  it("runs from the build that is published", async () => {
    const root = fileURLToPath(new URL("../../..", import.meta.url));
    const run = promisify(execFile);
    await run(`${root}node_modules/.bin/tsc`, ["-b", "server"], { cwd: root });
    const built = `${root}server/dist/cli/main.js`;
    const { stdout } = await run(process.execPath, [built, "sql"]);
    expect(stdout).toBe((await oncekey(["sql"])).out);
  });
});
