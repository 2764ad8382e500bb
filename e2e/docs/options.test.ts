import { readFile } from "node:fs/promises";
import { createClient } from "@oncekey/client";
import type { ClientOptions } from "@oncekey/client";
import { idempotency } from "@oncekey/server";
import type { IdempotencyOptions, RouteIdempotencyOptions } from "@oncekey/server";
import Fastify from "fastify";
import { Pool } from "pg";
import { describe, expect, it } from "vitest";

/** Names as the compiler sees them: it refuses one too few and one too many. */
type Names<Options> = Readonly<Record<keyof Options, true>>;

const ROUTE: Names<RouteIdempotencyOptions> = {
  scope: true,
  strategy: true,
  lease: true,
  key: true,
  required: true,
  mismatch: true,
  inFlight: true,
  waitMs: true,
  retentionMs: true,
  maxHandlerMs: true,
  fingerprint: true,
  storeStatus: true,
  storeHeaders: true,
  maxResponseBytes: true,
  outsideWrites: true,
  encryption: true,
  maxKeyAgeMs: true,
  replayCache: true,
  problemBaseUri: true,
  docsUrl: true,
};
const PLUGIN: Names<IdempotencyOptions> = {
  ...ROUTE,
  pool: true,
  schema: true,
  global: true,
  sweep: true,
};
const CLIENT: Names<ClientOptions> = {
  ky: true,
  storage: true,
  storedBody: true,
  key: true,
  keyFormat: true,
  retryBudget: true,
  owner: true,
  rememberMs: true,
  keepalive: true,
  server: true,
  debug: true,
  onUnauthorized: true,
  onChange: true,
  assumedLifetimeMs: true,
  statusCheck: true,
  onWarning: true,
  onAttempt: true,
  onWait: true,
  attempts: true,
  attemptTimeoutMs: true,
  deadlineMs: true,
  backoff: true,
  onUnacknowledged: true,
};

const readme = await readFile(new URL("../../README.md", import.meta.url), "utf8");
const UNKNOWN = { unheardOf: true };

describe("the README's tables of options", () => {
  it("list every option of the plugin's type, and no other", () => {
    expect(rowsBelow("Options of the plugin")).toEqual(Object.keys(PLUGIN).toSorted());
  });

  it("list every option of the client's type, and no other", () => {
    expect(rowsBelow("Options of the client")).toEqual(Object.keys(CLIENT).toSorted());
  });

  it("name those that a route may not set", () => {
    const [, less = ""] = /\(less ([^)]*)\)/.exec(section("Options of the plugin")) ?? [];
    const registrationOnly = Object.keys(PLUGIN).filter((name) => !Object.hasOwn(ROUTE, name));
    expect(namesIn(less)).toEqual(registrationOnly.toSorted());
  });
});

describe("the options that are accepted", () => {
  it("are those of the types: for the plugin, a route and the client", async () => {
    const pool = new Pool();
    const app = Fastify();
    const options = { pool, scope: "single-tenant", sweep: false } as const;
    const registration = async () => idempotency(app, { ...options, ...UNKNOWN });
    expect(await allowedBy(registration)).toEqual(Object.keys(PLUGIN).toSorted());
    await app.register(idempotency, options);
    const route = async () => {
      app.post("/", { config: { idempotency: { ...UNKNOWN } } }, async () => "");
    };
    expect(await allowedBy(route)).toEqual(Object.keys(ROUTE).toSorted());
    const client = async () => createClient({ attempts: 1, ...UNKNOWN });
    expect(await allowedBy(client)).toEqual(Object.keys(CLIENT).toSorted());
    await app.close();
    await pool.end();
  });
});

/** Returns the options in the message that refuses an unknown one. */
async function allowedBy(create: () => Promise<unknown>): Promise<string[]> {
  const error = await create().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof TypeError)) throw new Error("an unknown option was taken");
  const [, allowed = ""] = /unheardOf; allowed are (.*)$/.exec(error.message) ?? [];
  return allowed.split(", ").toSorted();
}

function section(title: string): string {
  const [, text = ""] = readme.split(`\n### ${title}\n`);
  return text.split(/\n#+ /, 1)[0] ?? "";
}

/** The names in the first column. */
function rowsBelow(title: string): string[] {
  const rows = section(title)
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  return namesIn(rows.map((row) => row.split("|")[1]).join());
}

function namesIn(text: string): string[] {
  return [...text.matchAll(/`(\w+)`/g)].map(([, name = ""]) => name).toSorted();
}
