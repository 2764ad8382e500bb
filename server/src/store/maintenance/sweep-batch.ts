/** Deletes one batch of expired records. */
import { publish } from "../../telemetry/events.ts";
import type { StatementResult } from "../postgres/batch.ts";
import { purposeLockId } from "../lock-id.ts";
import type { StoreParts } from "../store-parts.ts";
import { ask, askToBegin } from "../postgres/transaction.ts";
import { inOneRoundTrip, withConnection } from "../round-trip.ts";

/** The result of one batch. */
export interface Swept {
  readonly kind: "swept";
  readonly deleted: number;
  /** The start of the next batch. `undefined` if no more expired rows were left, or another process sweeps. */
  readonly next: Position | undefined;
}

/** The instant of the last row of a batch, in microseconds since 1970. */
export type Position = string;

// Postgres deletes a large body in pieces of 2 kB: 2,000 pieces beside the rows themselves.
const MAX_BATCH_BYTES = 4_194_304;

/**
 * Deletes about `batchSize` expired rows, fewer if their bodies are large. Throws what the database throws.
 *
 * @param from `next` of the batch before, so that the rows which that has deleted are not looked at again.
 */
export async function sweepBatch(
  parts: StoreParts,
  batchSize: number,
  from?: Position,
): Promise<Swept> {
  const startedAt = performance.now();
  const outcome =
    parts.dialect.kind === "citus"
      ? await sweepSlice(parts, batchSize)
      : await sweepRows(parts, batchSize, from);
  if (outcome.kind === "unavailable") throw outcome.cause;
  publish("oncekey:sweep", () => ({
    deletedRows: outcome.deleted,
    sweepMs: performance.now() - startedAt,
  }));
  return outcome;
}

function sweepRows(parts: StoreParts, batchSize: number, from: Position | undefined) {
  const { statements, schema } = parts;
  const values = [
    String(batchSize),
    purposeLockId(schema, "sweep"),
    from ?? null,
    String(MAX_BATCH_BYTES),
  ];
  return inOneRoundTrip(
    parts,
    [{ text: statements.planSweep }, { text: statements.sweep, values, isPlannedAnew: true }],
    "commit",
    ([, result]): Swept => {
      const [deleted, chosen, due, last] = result?.rows[0] ?? [];
      const isLast = Number(chosen) === Number(due) && Number(due) < batchSize;
      return {
        kind: "swept",
        deleted: Number(deleted),
        next: isLast ? undefined : (last ?? undefined),
      };
    },
  );
}

/** The oldest rows by the instant of the last of them, so that rows of one instant go together. */
function sweepSlice({ connect, statements, schema }: StoreParts, batchSize: number) {
  return withConnection(connect, async (connection): Promise<Swept> => {
    const { client } = connection;
    const [gate, bound] = (
      await askToBegin(client, [
        ...statements.open,
        { text: statements.gate, values: [purposeLockId(schema, "sweep")] },
        { text: statements.sweepBound, values: [String(batchSize)] },
      ])
    ).slice(statements.open.length);
    const until = gate?.rows[0]?.[0] === "t" ? bound?.rows[0]?.[0] : undefined;
    if (until === undefined || until === null) {
      await ask(client, [{ text: "rollback" }]);
      connection.release();
      return { kind: "swept", deleted: 0, next: undefined };
    }
    const results = await ask(client, [
      { text: statements.sweepUntil, values: [until] },
      { text: "commit" },
    ]);
    connection.release();
    const deleted = rowsOf(results[0]);
    return { kind: "swept", deleted, next: deleted < batchSize ? undefined : until };
  });
}

function rowsOf(result: StatementResult | undefined): number {
  return Number(result?.tag.split(" ").at(-1) ?? 0);
}
