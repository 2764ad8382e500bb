/** Kills a server of each library around its commit. */
import { globSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { testCrashes } from "@oncekey/server/testing";
import { byDepth } from "@oncekey/test-support/lanes/depth";
import { expect, it } from "vitest";
import { withPayments } from "./payments.ts";

const SERVER = fileURLToPath(new URL("crash-server.ts", import.meta.url));
// All but the file with what they have in common.
const ALL = globSync("*.ts", { cwd: new URL("libraries", import.meta.url) })
  .map((file) => basename(file, ".ts"))
  .filter((name) => name !== "library");

/** Ends only what hangs: each test starts five servers one after the other. */
const LIMIT_MS = 600_000;

/** Rows of one effect: half an effect is one row without the other. */
const ROWS = 2;

const { database, committed } = withPayments();

it.each(byDepth(["pg"], ALL))(
  "a server killed around its commit leaves both writes or none, and the retry leaves both: %s",
  async (library) => {
    const tested = await testCrashes({
      command: [process.execPath, "--conditions=@oncekey/source", SERVER, library],
      env: { DATABASE_URL: database.url },
      request: { path: "/payments", body: { amount: 5 } },
      countEffects: async () => (await committed()).length / ROWS,
      points: ["handled", "commit-sent"],
    });
    const points = ["none", "handled", "commit-sent"];
    expect(tested).toEqual(points.map((point) => ({ point, status: 201, effects: 1 })));
  },
  LIMIT_MS,
);
