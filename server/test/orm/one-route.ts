/** One protected route, whose handler is the test's. */
import type { Answer, Shop } from "../support/shop.ts";
import type { Database, Library } from "./libraries/library.ts";
import type { Payments } from "./payments.ts";
import { protect, withLibraryShop } from "./with-library.ts";
import type { LibraryShop } from "./with-library.ts";

type Handle = (db: Database) => Promise<unknown>;
type More = Omit<LibraryShop, "library" | "database">;

export interface OneRoute {
  /** Serves the route at `/do`; it answers with what `handle` resolves to, as `done`. */
  readonly withHandler: (
    handle: Handle,
    use: (shop: Shop) => Promise<void>,
    more?: More,
  ) => Promise<void>;
  /** Sends one request under a new key and returns its answer. */
  readonly once: (handle: Handle, more?: More) => Promise<Answer | undefined>;
}

export function oneRoute(library: Library, { database }: Payments): OneRoute {
  const withHandler: OneRoute["withHandler"] = (handle, use, more = {}) =>
    withLibraryShop(
      { library, database, ...more },
      (app, db) => app.post("/do", protect, async () => ({ done: await handle(db) })),
      use,
    );
  return {
    withHandler,
    async once(handle, more) {
      let answer: Answer | undefined;
      const send = async ({ post }: Shop): Promise<void> => {
        answer = await post("/do", { key: crypto.randomUUID() });
      };
      await withHandler(handle, send, more);
      return answer;
    },
  };
}

export function fail(): never {
  throw new Error("the handler failed");
}
