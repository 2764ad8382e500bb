import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import { Pool } from "pg";
import { expect, onTestFinished, test } from "vitest";
import { createRandom } from "../protocol/random.ts";
import type { ServerProcess } from "../fleet/server-process.ts";
import { deal, planStrikes } from "./strike.ts";

const TIMES = { kill: 3, pause: 1, terminate: 1, crash: 1 };

test("a whole run kills 108 times: three times at nine boundaries under four strategies", () => {
  const kills = planStrikes(createRandom(1), TIMES).filter(({ blow }) => blow === "kill");
  expect(kills).toHaveLength(108);
  const places = kills.map(({ boundary, strategy }) => `${boundary} ${strategy}`);
  expect(new Set(places).size).toBe(36);
});

test("the same seed plans the same strikes in the same order, and another seed another order", () => {
  const plan = (seed: number) => planStrikes(createRandom(seed), TIMES);
  expect(plan(7)).toEqual(plan(7));
  expect(plan(7)).not.toEqual(plan(8));
});

test("a crash of Postgres is over once the database answers again, in new sessions", async () => {
  const postgres = await startPostgres({ maxConnections: 20 });
  onTestFinished(() => postgres.stop());
  const pool = new Pool({ connectionString: postgres.url("postgres"), max: 3 });
  pool.on("error", () => undefined);
  onTestFinished(() => pool.end());
  const before = await pool.connect();
  const hasEnded = new Promise<boolean>((resolve) => before.once("end", () => resolve(true)));
  before.on("error", () => undefined);
  const signals: string[] = [];
  const server = { signal: (name: string) => void signals.push(name) };
  await deal("crash", server as unknown as ServerProcess, { pool, pauseMs: 0 });
  expect(signals).toEqual(["SIGCONT"]);
  expect((await pool.query("select 1 as one")).rows).toEqual([{ one: 1 }]);
  expect(await hasEnded).toBe(true);
  before.release(true);
});
