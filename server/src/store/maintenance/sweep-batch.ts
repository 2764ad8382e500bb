import { publish } from "../../telemetry/events.ts";
import type { StatementResult } from "../postgres/batch.ts";
import { purposeLockId } from "../lock-id.ts";
import type { StoreParts } from "../store-parts.ts";
import { ask } from "../postgres/transaction.ts";
import { inOneRoundTrip, withConnection } from "../round-trip.ts";

/**
 * Deletes about `batchSize` expired rows and says how many; none where another process is at it. Fewer than that means that no
 * more were left. Throws what the database throws.
 */
export async function sweepExpired(parts: StoreParts, batchSize: number): Promise<number> {
  const startedAt = performance.now();
  const outcome =
    parts.dialect.kind === "citus"
      ? await sweepSlice(parts, batchSize)
      : await sweepRows(parts, batchSize);
  if (outcome.kind === "unavailable") throw outcome.cause;
  const { deleted } = outcome;
  publish("oncekey:sweep", () => ({
    deletedRows: deleted,
    sweepMs: performance.now() - startedAt,
  }));
  return deleted;
}

interface Swept {
  readonly kind: "swept";
  readonly deleted: number;
}

function sweepRows(parts: StoreParts, batchSize: number) {
  const values = [String(batchSize), purposeLockId(parts.schema, "sweep")];
  return inOneRoundTrip(
    parts,
    [{ text: parts.statements.sweep, values }],
    "commit",
    ([result]): Swept => ({ kind: "swept", deleted: rowsOf(result) }),
  );
}

/** The oldest rows by the instant of the last of them, so that rows of one instant go together. */
function sweepSlice({ connect, statements, schema }: StoreParts, batchSize: number) {
  return withConnection(connect, async (connection): Promise<Swept> => {
    const { client } = connection;
    const [gate, bound] = (
      await ask(client, [
        ...statements.open,
        { text: statements.gate, values: [purposeLockId(schema, "sweep")] },
        { text: statements.sweepBound, values: [String(batchSize)] },
      ])
    ).slice(statements.open.length);
    const until = gate?.rows[0]?.[0] === "t" ? bound?.rows[0]?.[0] : undefined;
    if (until === undefined || until === null) {
      await ask(client, [{ text: "rollback" }]);
      connection.release();
      return { kind: "swept", deleted: 0 };
    }
    const results = await ask(client, [
      { text: statements.sweepUntil, values: [until] },
      { text: "commit" },
    ]);
    connection.release();
    return { kind: "swept", deleted: rowsOf(results[0]) };
  });
}

function rowsOf(result: StatementResult | undefined): number {
  return Number(result?.tag.split(" ").at(-1) ?? 0);
}
