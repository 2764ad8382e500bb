/** The run's Postgres as a test file sees it. */
import { get } from "node:http";
import type { IncomingMessage } from "node:http";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { inject } from "vitest";
import type { ProvidedPostgres } from "./global-setup.ts";

let asked: Promise<ProvidedPostgres> | undefined;
let provided: ProvidedPostgres | undefined;

/** Asks for the run's Postgres. It is started for the first test file that asks. */
export async function awaitPostgres(): Promise<void> {
  provided = await (asked ??= ask(inject("postgresAt")));
}

/** Returns the connection string of one database of the run's Postgres. */
export function urlOf(database: string): string {
  return withDatabaseName(there().url, database);
}

/** The same through the run's pooler, or directly if there is none. */
export function pooledUrlOf(database: string): string {
  const { url, pooledUrl = url } = there();
  return withDatabaseName(pooledUrl, database);
}

function there(): ProvidedPostgres {
  if (provided === undefined)
    throw new Error("the database is not there before the tests run: use it in a hook or a test");
  return provided;
}

function withDatabaseName(connectionString: string, database: string): string {
  const url = new URL(connectionString);
  url.pathname = database;
  return url.href;
}

async function ask(address: string): Promise<ProvidedPostgres> {
  // Without an agent no socket stays open behind the answer.
  const [response] = (await once(get(address, { agent: false }), "response")) as [IncomingMessage];
  const body = await text(response);
  if (response.statusCode !== 200) throw new Error(body);
  return JSON.parse(body) as ProvidedPostgres;
}
