/** Everything that a measurement needs: Postgres, the servers, each with a database of its own, and the load generator. */
import { once } from "node:events";
import { migrate } from "@oncekey/server";
import { findProcess } from "@oncekey/test-support/processes/processes";
import { startPostgres } from "@oncekey/test-support/postgres/postgres";
import { superviseScript } from "@oncekey/test-support/processes/supervised";
import pg from "pg";
import { CREATE_PAYMENTS } from "./subjects/handler.ts";
import { startLoadGenerator } from "./load-generator.ts";
import type { LoadGenerator } from "./load-generator.ts";
import { startRedis } from "./peers/redis.ts";
import type { Question, ServerAnswer } from "./server-message.ts";
import type { SubjectName } from "./subjects/subjects.ts";

export interface MeasuredServer {
  readonly port: number;
  readonly pid: number;
  ask(question: Question): Promise<ServerAnswer>;
  stop(): Promise<void>;
}

export interface Lab {
  /** On the database `postgres`. */
  readonly admin: pg.Pool;
  readonly loader: LoadGenerator;
  /** Process ids of Postgres, the parent of its backends, and of Redis if a peer needs it. */
  readonly databases: readonly number[];
  /** The connection string of a subject's database, which is made and migrated if it does not exist. */
  database(subject: string): Promise<string>;
  start(subject: SubjectName, databaseUrl: string): Promise<MeasuredServer>;
  stop(): Promise<void>;
}

// No checkpoint falls into a slice: it makes the WAL of one of them larger than that of the rest.
const SETTINGS = {
  shared_buffers: "1GB",
  max_wal_size: "8GB",
  checkpoint_timeout: "1h",
};

export interface LabOptions {
  /** Settings of Postgres beside those of every lab. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Whether a Redis is started as well. */
  readonly withRedis?: boolean;
}

export async function openLab({ settings, withRedis = false }: LabOptions = {}): Promise<Lab> {
  const [postgres, loader, redis] = await Promise.all([
    startPostgres({ settings: { ...SETTINGS, ...settings } }),
    startLoadGenerator(),
    withRedis ? startRedis() : undefined,
  ]);
  const admin = openPool(postgres.url("postgres"));
  const { rows } = await admin.query<{ pid: number }>("select pg_backend_pid() as pid");
  const backend = await findProcess(rows[0]?.pid ?? 0);
  const servers = new Set<MeasuredServer>();
  return {
    admin,
    loader,
    databases: [backend?.parent ?? 0, ...(redis === undefined ? [] : [redis.pid])],
    async database(subject) {
      const name = `shop_${subject.toLowerCase().replaceAll("-", "_")}`;
      const url = postgres.url(name);
      const found = await admin.query("select from pg_database where datname = $1", [name]);
      if (found.rowCount === 0) {
        await admin.query(`create database ${name}`);
        const pool = openPool(url);
        await migrate(pool);
        await pool.query(CREATE_PAYMENTS);
        await pool.end();
      }
      return url;
    },
    async start(subject, databaseUrl) {
      const server = await startServer(subject, [databaseUrl, subject, redis?.url ?? ""]);
      servers.add(server);
      return server;
    },
    async stop() {
      await Promise.all([...servers].map((server) => server.stop()));
      await Promise.all([loader.stop(), admin.end(), redis?.stop()]);
      await postgres.stop();
    },
  };
}

/** Opens one connection to a database of the lab, for the measurement itself. */
export function openPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 1 });
  // `end()` does not wait for sessions that are closing: one may meet the end of Postgres, and then notifies its pool.
  pool.on("error", () => {});
  return pool;
}

async function startServer(subject: SubjectName, args: readonly string[]): Promise<MeasuredServer> {
  const supervised = superviseScript({
    name: `the server of ${subject}`,
    script: new URL("server.ts", import.meta.url),
    args,
  });
  const port = await supervised.up();
  const child = supervised.child();
  return {
    port,
    pid: child.pid ?? 0,
    async ask(question) {
      const answered = once(child, "message");
      child.send(question);
      const [answer] = (await answered) as [ServerAnswer];
      return answer;
    },
    stop: supervised.stop,
  };
}
