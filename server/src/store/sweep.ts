import { purposeLockId } from "./lock-id.ts";
import { publish } from "../telemetry.ts";
import type { StoreParts } from "./store-parts.ts";
import { inOneFlight } from "./transactional.ts";

/** Deletes up to `batchSize` expired rows and says how many; none where another process is at it. Throws what the database throws. */
export async function sweepExpired(parts: StoreParts, batchSize: number): Promise<number> {
  const { statements, schema } = parts;
  const values = [String(batchSize), purposeLockId(schema, "sweep")];
  const startedAt = performance.now();
  const outcome = await inOneFlight(
    parts,
    [{ text: statements.sweep, values }],
    "commit",
    ([result]) => ({ kind: "swept", deleted: Number(result?.tag.split(" ").at(-1) ?? 0) }) as const,
  );
  if (outcome.kind === "unavailable") throw outcome.cause;
  const { deleted } = outcome;
  publish("oncekey:sweep", () => ({
    deletedRows: deleted,
    sweepMs: performance.now() - startedAt,
  }));
  return deleted;
}
