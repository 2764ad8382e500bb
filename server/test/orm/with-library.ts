/** A shop whose routes write through a library that was made over `transactional(pool)`. */
import { transactional } from "@oncekey/server";
import type { FastifyInstance } from "fastify";
import type { TestDatabase } from "@oncekey/test-support/postgres/database";
import { withShop } from "../support/shop.ts";
import type { Shop, ShopOptions } from "../support/shop.ts";
import type { Database, Library } from "./libraries/library.ts";

/** The routes' `db`, and what each of them may need beside it. */
export type AddRoutes = (app: FastifyInstance, db: Database) => unknown;

export interface LibraryShop {
  readonly library: Library;
  readonly database: TestDatabase;
  /** Connections of the shop's pool. Default 4. */
  readonly max?: number;
  /** Which pool the plugin gets. Default `plain`: the one that `transactional` was given. */
  readonly registered?: "plain" | "transactional";
  readonly options?: Partial<ShopOptions>;
}

export const protect = { config: { idempotency: true } };

export async function withLibraryShop(
  { library, database, max = 4, registered = "plain", options = {} }: LibraryShop,
  routes: AddRoutes,
  use: (shop: Shop, db: Database) => Promise<void>,
): Promise<void> {
  const pool = database.pool({ max, idleTimeoutMillis: 500 });
  const joined = transactional(pool);
  const db = await library.open(joined);
  try {
    await withShop(
      { pool: registered === "plain" ? pool : joined, ...options },
      (app) => routes(app, db),
      (shop) => use(shop, db),
    );
  } finally {
    await db.close();
  }
}
