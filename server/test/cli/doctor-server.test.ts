import { migrate } from "@oncekey/server";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import type { Postgres } from "@oncekey/test-support/postgres/postgres";
import { diagnose } from "./diagnose.ts";

// A server of its own: what these tests change holds for all databases of a server.
let server: Postgres;
let pool: pg.Pool;
beforeAll(async () => {
  server = await startPostgres();
  pool = new pg.Pool({ connectionString: server.url("postgres"), max: 1 });
  pool.on("error", () => undefined);
  await migrate(pool);
});
afterAll(async () => {
  await pool.end();
  await server.stop();
});

async function set(settings: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, value] of Object.entries(settings)) {
    await pool.query(`alter system set ${name} = '${value}'`);
  }
  await pool.query("select pg_reload_conf()");
}

describe("oncekey doctor on a server", () => {
  it("ends with 0 on a default server, and names the settings that prolong the effect of a crash", async () => {
    const findings = await diagnose(server.url("postgres"), 0);
    expect(findings["durability"]).toMatchObject({
      verdict: "ok",
      found:
        "answered results survive a crash of this server; no synchronous standby, so not the loss of it",
    });
    expect(findings["keepalives"]).toMatchObject({
      verdict: "warn",
      found: expect.stringMatching(/^a machine that vanishes is noticed after \d/),
      advice: expect.stringContaining("tcp_keepalives_idle = 30"),
    });
    expect(findings["dead clients"]).toMatchObject({
      verdict: "warn",
      advice: "set client_connection_check_interval = '1s'",
    });
  });

  it("has nothing to consider once its advice is followed", async () => {
    await set({
      tcp_keepalives_idle: "30",
      tcp_keepalives_interval: "10",
      tcp_keepalives_count: "3",
      client_connection_check_interval: "1s",
    });
    await expect
      .poll(async () => {
        const findings = await diagnose(server.url("postgres"), 0);
        return Object.values(findings).filter(({ verdict }) => verdict !== "ok");
      })
      .toEqual([]);
  });

  it("warns where answered results may be lost in a crash", async () => {
    await pool.query("alter role postgres set synchronous_commit = off");
    const { durability } = await diagnose(server.url("postgres"), 0);
    await pool.query("alter role postgres reset synchronous_commit");
    expect(durability).toMatchObject({
      verdict: "warn",
      found: expect.stringContaining("synchronous_commit is off"),
    });
  });

  it("fails on a standby", async () => {
    await becomeStandby();
    const { primary } = await diagnose(server.url("postgres"), 1);
    expect(primary).toMatchObject({
      verdict: "fail",
      found: "a standby, which takes no writes",
      advice: "connect to the primary",
    });
  });

  /** A crash makes a server start anew, and one that finds this file starts as a standby. */
  async function becomeStandby(): Promise<void> {
    const { rows } = await pool.query<{ folder: string; pid: number }>(
      "select current_setting('data_directory') as folder, pg_backend_pid() as pid",
    );
    const [backend] = rows;
    if (backend === undefined) throw new Error("the server reports no process number");
    await pool.query(`copy (select '') to '${backend.folder}/standby.signal'`);
    process.kill(backend.pid, "SIGKILL");
    await expect.poll(isStandby).toBe(true);
  }

  async function isStandby(): Promise<boolean> {
    try {
      const { rows } = await pool.query<{ is: boolean }>("select pg_is_in_recovery() as is");
      return rows[0]?.is === true;
    } catch {
      return false;
    }
  }
});
