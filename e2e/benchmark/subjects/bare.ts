/** Leaner statements for the purpose of `advisory`, in a single handler: how little Node can cost without a plugin. It promises nothing. */
import { hash } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type pg from "pg";
import { insertPayment, receipt } from "./handler.ts";
import { openPipe } from "./pipe.ts";

interface Stored {
  readonly fingerprint: string;
  readonly body: string;
}

const SCOPE = "single-tenant";
const TARGET = "POST /payments";
const MOST_STORED = 1_000;
const THIS_TICKET = "key = $1::text and scope = $2::text and target = $3::text";

const BEGIN = { name: "bare_begin", text: "begin isolation level read committed read write" };
const LOCK = { name: "bare_lock", text: "select pg_try_advisory_xact_lock($1::bigint)" };
const LOOKUP = {
  name: "bare_lookup",
  text: `select fingerprint, status, headers, body from oncekey.records where ${THIS_TICKET} and expires_at > statement_timestamp()`,
};
const STORE = {
  name: "bare_store",
  text: `insert into oncekey.records (key, scope, target, fingerprint, status, headers, body, created_at, expires_at, fence_until)
    values ($1::text, $2::text, $3::text, $4::bytea, $5::smallint, $6::text, $7::bytea, statement_timestamp(),
      statement_timestamp() + interval '1 day', statement_timestamp() + interval '30 days')`,
};
const COMMIT = { name: "bare_commit", text: "commit" };

/** Adds the two paths: the first replays from a map of the process, the second by one statement of the pool. */
export function addBare(app: FastifyInstance, pool: pg.Pool, paths: readonly string[]): void {
  const stored = new Map<string, Stored>();
  const [cached = "", uncached = ""] = paths;

  app.post(cached, (request, reply) => {
    const { key, fingerprint } = ticketOf(request);
    const found = stored.get(key);
    if (found?.fingerprint === fingerprint) return sendReplay(reply, found.body);
    return run(pool, request, reply).then((body) => {
      stored.set(key, { fingerprint, body });
      // The oldest goes: a key of the load that were lost would run again, and meet its own record.
      const [oldest] = stored.keys();
      if (stored.size > MOST_STORED && oldest !== undefined) stored.delete(oldest);
      return reply.type(JSON_TYPE).send(body);
    });
  });

  app.post(uncached, async (request, reply) => {
    const { key, fingerprint } = ticketOf(request);
    const { rows } = await pool.query<{ fingerprint: Buffer; body: Buffer }>({
      name: "bare_replay",
      text: LOOKUP.text,
      values: [key, SCOPE, TARGET],
    });
    const [found] = rows;
    if (found?.fingerprint.toString("hex") === fingerprint)
      return sendReplay(reply, found.body.toString());
    return reply.type(JSON_TYPE).send(await run(pool, request, reply));
  });
}

const JSON_TYPE = "application/json; charset=utf-8";
const HEADERS = JSON.stringify([["content-type", JSON_TYPE]]);

function sendReplay(reply: FastifyReply, body: string): FastifyReply {
  return reply.code(201).header("idempotent-replayed", "true").type(JSON_TYPE).send(body);
}

function ticketOf(request: FastifyRequest): { readonly key: string; readonly fingerprint: string } {
  return {
    key: String(request.headers["idempotency-key"]),
    fingerprint: hash("sha256", JSON.stringify(request.body), "hex"),
  };
}

/** Runs the handler in one transaction with its record, and returns the reply. */
async function run(pool: pg.Pool, request: FastifyRequest, reply: FastifyReply): Promise<string> {
  const { key, fingerprint } = ticketOf(request);
  const ticket = [key, SCOPE, TARGET];
  const id = hash("sha256", ticket.join("\n"), "buffer").readBigInt64BE(0).toString();
  const client = await pool.connect();
  const pipe = openPipe(client);
  try {
    await pipe.send([BEGIN, { ...LOCK, values: [id] }, { ...LOOKUP, values: ticket }]);
    const body = JSON.stringify(receipt(await insertPayment(client)));
    // ASCII without a backslash is its own form as bytes.
    const values = [...ticket, `\\x${fingerprint}`, "201", HEADERS, body];
    await pipe.send([{ ...STORE, values }, COMMIT]);
    reply.code(201);
    return body;
  } finally {
    client.release();
  }
}
