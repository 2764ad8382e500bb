/** The four strategies by name. */
import type { StoreParts } from "../../src/store/store-parts.ts";
import type { Store } from "../../src/store/store.ts";
import { createAdvisoryStore } from "../../src/store/strategies/advisory.ts";
import { createLeaseStore } from "../../src/store/strategies/lease.ts";
import { createRowStore } from "../../src/store/strategies/row.ts";
import { createUniqueStore } from "../../src/store/strategies/unique.ts";

export const STRATEGIES: Readonly<Record<string, (parts: StoreParts) => Store>> = {
  advisory: createAdvisoryStore,
  unique: createUniqueStore,
  row: createRowStore,
  lease: (parts) => createLeaseStore(parts, 60_000),
};
