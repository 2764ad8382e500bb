/** The pools of the requests: each is tested before its first use, and again until it was found sound. Held weakly. */
import type { Pool } from "pg";
import type { DatabaseEngine } from "../store/postgres/dialect.ts";
import { selfTest } from "../store/maintenance/self-test.ts";
import type { SelfTest } from "../store/maintenance/self-test.ts";
import { allowNames } from "../store/postgres/session.ts";
import { createStoreParts } from "../store/store-parts.ts";
import type { StoreParts } from "../store/store-parts.ts";

/** A pool that may be used, or why it may not. */
export type Opened =
  | { readonly kind: "open"; readonly parts: StoreParts }
  | Exclude<SelfTest, { kind: "sound" }>;

export interface Pools {
  /** Takes note of a pool, and asks nothing yet. */
  add(pool: Pool): void;
  /** The connections of a pool. Asks the database only until it was found sound once. Never throws. */
  open(pool: Pool): Promise<Opened>;
  /** Asks the database whatever is known. Never throws. */
  test(pool: Pool): Promise<Opened>;
  /** The pools noted so far that the application still has and has not ended. */
  seen(): readonly Pool[];
}

export interface PoolOptions {
  readonly schema: string;
  /** Whether a route relies on advisory locks. */
  readonly needsAdvisoryLocks: () => boolean;
  /** Called with each pool when it is noted. */
  readonly onSeen: (pool: Pool) => void;
  /** Called for each pool when it was found sound. */
  readonly onSound: (engine: DatabaseEngine) => void;
}

export function createPools(options: PoolOptions): Pools {
  // The application may make and end a pool for each tenant: nothing here keeps one alive.
  const seen = new Set<WeakRef<Pool>>();
  const noted = new WeakSet<Pool>();
  const known = new WeakMap<Pool, Opened & { kind: "open" }>();
  // Requests that come while a pool is tested wait for the one answer.
  const tests = new WeakMap<Pool, Promise<Opened>>();

  async function ask(pool: Pool): Promise<Opened> {
    const found = await selfTest(pool, options.schema, options.needsAdvisoryLocks());
    if (found.kind !== "sound") return found;
    const { engine, keepsNames } = found;
    const opened = known.get(pool);
    if (opened !== undefined) return opened;
    const parts = createStoreParts(pool, options.schema, engine.dialect);
    const open = { kind: "open", parts } as const;
    known.set(pool, open);
    if (keepsNames && engine.dialect.kind === "postgres") allowNames(pool);
    options.onSound(engine);
    return open;
  }

  function add(pool: Pool): void {
    if (noted.has(pool)) return;
    noted.add(pool);
    seen.add(new WeakRef(pool));
    options.onSeen(pool);
  }

  function test(pool: Pool): Promise<Opened> {
    add(pool);
    const running = tests.get(pool) ?? ask(pool).finally(() => tests.delete(pool));
    tests.set(pool, running);
    return running;
  }

  return {
    add,
    open: async (pool) => known.get(pool) ?? test(pool),
    test,
    seen: () =>
      [...seen].flatMap((ref) => {
        const pool = ref.deref();
        if (pool !== undefined && !pool.ending) return [pool];
        seen.delete(ref);
        return [];
      }),
  };
}

/** Returns the parts of a pool. @throws the reason why the pool may not be used. */
export function partsOf(opened: Opened): StoreParts {
  if (opened.kind === "open") return opened.parts;
  throw whyNot(opened);
}

export function whyNot(opened: Exclude<Opened, { kind: "open" }>): unknown {
  if (opened.kind === "unreachable") return opened.cause;
  return new Error(`${opened.reason}; ${opened.remedy}`);
}
