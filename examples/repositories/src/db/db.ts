import { transactional } from "@oncekey/server";
import { Kysely, PostgresDialect } from "kysely";
import pg from "pg";
import { config } from "../config.ts";
import type { Tables } from "./tables.ts";

export const pool = new pg.Pool({ connectionString: config.databaseUrl, max: config.poolSize });

const dialect = new PostgresDialect({ pool: transactional(pool) });
export const db = new Kysely<Tables>({ dialect });
