/** An application that has ours and one neighbour, in every place that they can stand to each other. */
import { idempotency } from "@oncekey/server";
import Fastify from "fastify";
import type { FastifyInstance } from "fastify";
import type pg from "pg";
import { post } from "../support/shop.ts";
import type { Answer, ShopOptions, ShopRequest } from "../support/shop.ts";

/** Place at which the neighbour is registered. */
export type Place =
  | "before ours"
  | "after ours"
  | "before ours, both in a plugin with a prefix"
  | "after ours, both in a plugin with a prefix"
  | "on the root, with ours in a plugin with a prefix"
  | "in a plugin with a prefix, with ours on the root";

export const PLACES: readonly Place[] = [
  "before ours",
  "after ours",
  "before ours, both in a plugin with a prefix",
  "after ours, both in a plugin with a prefix",
  "on the root, with ours in a plugin with a prefix",
  "in a plugin with a prefix, with ours on the root",
];

/** Adds something to an application and awaits it. */
export type Add = (app: FastifyInstance) => unknown;

export interface Parts {
  readonly options: ShopOptions;
  readonly neighbour: Add;
  readonly routes: Add;
}

export interface Neighbourhood {
  readonly app: FastifyInstance;
  /** URL of the server, with the prefix of the plugin that the routes are in. */
  readonly url: string;
  /** Sends a POST with a key and a JSON body. */
  readonly post: (path: string, request?: ShopRequest) => Promise<Answer>;
}

const PREFIX = "/v1";

/** Builds the application, listens, and closes whatever happens in `use`. */
export async function withNeighbour(
  place: Place,
  parts: Parts,
  use: (neighbourhood: Neighbourhood) => Promise<void>,
): Promise<void> {
  const app = Fastify({ forceCloseConnections: true });
  const isPrefixed = await build(app, place, parts);
  try {
    const root = await app.listen({ host: "127.0.0.1", port: 0 });
    const url = isPrefixed ? `${root}${PREFIX}` : root;
    await use({ app, url, post: (path, request) => post(url, path, request) });
  } finally {
    await app.close();
  }
}

/** Resolves to whether the routes are behind the prefix. */
async function build(
  app: FastifyInstance,
  place: Place,
  { options, neighbour, routes }: Parts,
): Promise<boolean> {
  // Without the cache of the process, so that every replay proves what the table holds.
  const ours: Add = (on) =>
    on.register(idempotency, { scope: "single-tenant", replayCache: false, ...options });
  const prefixed = (...steps: Add[]): PromiseLike<unknown> =>
    app.register((child) => inOrder(child, steps), { prefix: PREFIX });

  switch (place) {
    case "before ours":
      await inOrder(app, [neighbour, ours, routes]);
      return false;
    case "after ours":
      await inOrder(app, [ours, neighbour, routes]);
      return false;
    case "before ours, both in a plugin with a prefix":
      await prefixed(neighbour, ours, routes);
      return true;
    case "after ours, both in a plugin with a prefix":
      await prefixed(ours, neighbour, routes);
      return true;
    case "on the root, with ours in a plugin with a prefix":
      await neighbour(app);
      await prefixed(ours, routes);
      return true;
    case "in a plugin with a prefix, with ours on the root":
      await ours(app);
      await prefixed(neighbour, routes);
      return true;
    default:
      return place satisfies never;
  }
}

async function inOrder(app: FastifyInstance, steps: readonly Add[]): Promise<void> {
  for (const step of steps) await step(app);
}

/** Returns the stored record of a key: the names of the headers, and the body. */
export async function stored(
  pool: pg.Pool,
  key: string,
): Promise<{ readonly headers: string[]; readonly body: string } | undefined> {
  const { rows } = await pool.query<{ headers: string; body: Buffer }>(
    "select headers, body from oncekey.records where key = $1",
    [key],
  );
  const [row] = rows;
  if (row === undefined) return undefined;
  const headers = (JSON.parse(row.headers) as [string, string][]).map(([name]) => name);
  return { headers, body: row.body.toString() };
}
