import { formatKey } from "@oncekey/shared";
import fc from "fast-check";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { describe, expect, it } from "vitest";
import { byDepth } from "@oncekey/test-support/lanes/depth";
import { withDatabase } from "@oncekey/test-support/postgres/database";
import { fuzzedRequest, ROUTES } from "../support/fuzzed-request.ts";
import type { FuzzedRequest } from "../support/fuzzed-request.ts";
import { sendRaw } from "../support/raw-http.ts";
import type { RawAnswer } from "../support/raw-http.ts";
import { withShop } from "../support/shop.ts";

const database = withDatabase();

const RUNS = byDepth(150, 1_000);
const AT_ONCE = 10;
/** Number of different requests in a burst; the rest of it repeats them. */
const DIFFERENT = 7;
/** Answers of each kind that a run must have seen more often than this, to have shown anything. */
const FEW = byDepth(0, 50);
/** Ends only what hangs. A failure that is still being shrunk is reported with its seed before the test times out. */
const STOP_AFTER_MS = 240_000;
const TIMEOUT_MS = 300_000;

interface Effect {
  readonly id: number;
  readonly user: string;
  /** As its handler saw it. */
  readonly path: string;
  readonly key: string;
}

describe(`${RUNS * AT_ONCE} arbitrary requests on raw sockets`, () => {
  it(
    "meet no 500, have no effect without a valid key, and get no answer from another scope",
    async () => {
      const pool = database.pool({ max: 16 });
      await pool.query(
        `create table effects (id int generated always as identity primary key, "user" text, path text, key text)`,
      );
      const seen = new Map<string, number>();
      let known = 0;
      await withShop(
        { pool, scope: ({ headers }) => String(headers["x-user"]), replayCache: true },
        (app) => addRoutes(app, pool),
        async ({ url }) => {
          const port = Number(new URL(url).port);
          const burst = fc
            .array(fuzzedRequest, { minLength: DIFFERENT, maxLength: DIFFERENT })
            .map((requests) => [...requests, ...requests.slice(0, AT_ONCE - DIFFERENT)]);
          const property = fc.asyncProperty(burst, async (requests) => {
            const answers = await Promise.all(requests.map(({ raw }) => sendRaw(port, raw)));
            const effects = await effectsAfter(pool, known);
            known = effects.at(-1)?.id ?? known;
            for (const effect of effects) expect(requests.some(asksFor(effect))).toBe(true);
            for (const [index, request] of requests.entries()) {
              const kind = judge(request, answers[index]);
              seen.set(kind, (seen.get(kind) ?? 0) + 1);
            }
          });
          await fc.assert(property, {
            numRuns: RUNS,
            interruptAfterTimeLimit: STOP_AFTER_MS,
            markInterruptAsFailure: true,
          });
        },
      );
      expect(await repeatedEffects(pool)).toEqual([]);
      for (const kind of [
        "201",
        "201 replayed",
        "201 replayed mismatch",
        "400",
        "404",
        "415",
        "422",
      ]) {
        expect(seen.get(kind) ?? 0, `answers of kind ${kind}`).toBeGreaterThan(FEW);
      }
      expect(seen.get("none") ?? 0, "requests without an answer").toBeLessThan(RUNS / 10);
    },
    TIMEOUT_MS,
  );
});

function addRoutes(app: FastifyInstance, pool: pg.Pool): void {
  app.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
  for (const route of ROUTES) {
    const config =
      route === "strict"
        ? { mismatch: "reject" as const, inFlight: "reject" as const }
        : route === "lease"
          ? { strategy: route, lease: { onCrash: "fail" as const } }
          : { strategy: route };
    const routed = { config: { idempotency: config } };
    app.post<{ Params: { "*": string } }>(`/${route}/*`, routed, async (request, reply) => {
      const { key } = request.idempotency;
      // Encoded, because Postgres takes no NUL in a text.
      const path = encodeURIComponent(`/${route}/${request.params["*"]}`);
      const user = request.headers["x-user"];
      const client = route === "lease" ? pool : request.idempotency.tx;
      await client.query(`insert into effects ("user", path, key) values ($1, $2, $3)`, [
        user,
        path,
        key,
      ]);
      return reply.code(201).send({ user, path, key });
    });
  }
}

/** Classifies an answer. Throws if the request must not get it. */
function judge(request: FuzzedRequest, answer: RawAnswer | undefined): string {
  if (answer === undefined) return "none";
  const { status, headers, body } = answer;
  expect(status, body).toBeLessThan(500);
  const replayed = headers.get("idempotent-replayed") === "true";
  if (status === 201) {
    const path = routedPath(request);
    expect(JSON.parse(body)).toEqual({ user: request.user, path, key: request.key });
    expect(headers.get("idempotency-key")).toBe(request.key && formatKey(request.key));
    expect(replayed || !request.onlyIfStored).toBe(true);
  } else {
    expect(replayed).toBe(false);
  }
  const mismatch = headers.get("idempotency-mismatch") === "true";
  return `${status}${replayed ? " replayed" : ""}${mismatch ? " mismatch" : ""}`;
}

/**
 * Returns the path that Fastify routes by, without query and fragment, in one spelling. `undefined`
 * if it cannot be decoded.
 */
function routedPath({ raw }: FuzzedRequest): string | undefined {
  try {
    return encodeURIComponent(decodeURIComponent(raw.path.split(/[?#]/, 1)[0] ?? ""));
  } catch {
    return undefined;
  }
}

function asksFor({ user, path, key }: Effect): (request: FuzzedRequest) => boolean {
  return (request) =>
    request.key === key &&
    request.user === user &&
    routedPath(request) === path &&
    !request.onlyIfStored;
}

async function effectsAfter(pool: pg.Pool, id: number): Promise<Effect[]> {
  const { rows } = await pool.query<Effect>("select * from effects where id > $1 order by id", [
    id,
  ]);
  return rows;
}

async function repeatedEffects(pool: pg.Pool): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select "user", path, key from effects group by 1, 2, 3 having count(*) > 1`,
  );
  return rows;
}
