/** Sweeps one batch: deletes the records that are over, and makes tombstones of expired responses. */
import { publish } from "../../telemetry/events.ts";
import type { StatementResult } from "../postgres/batch.ts";
import { purposeLockId } from "../lock-id.ts";
import type { StoreParts } from "../store-parts.ts";
import { ask, askToBegin } from "../postgres/transaction.ts";
import { inOneRoundTrip, withConnection } from "../round-trip.ts";
import type { Unavailable } from "../store.ts";
import { endCrashes } from "./end-crashes.ts";
import type { AnnounceCrash } from "./end-crashes.ts";

/** The result of one batch. */
export interface Swept {
  readonly kind: "swept";
  readonly deleted: number;
  /** Expired responses that became tombstones. */
  readonly buried: number;
  /** The start of the next batch. `undefined` if no more expired rows were left, or another process sweeps. */
  readonly next: Position | undefined;
}

/** The instant of the last row of a batch, in microseconds since 1970. */
export type Position = string;

// Rows of one batch have neighbouring entries in the primary key. An update adds a second entry to
// each, and a leaf has room for a tenth more. So each transaction takes every twentieth row, and
// Postgres deletes the old entries of the ones before it when a leaf is full. Measured with UUIDv7
// keys: 87 bytes of primary key per tombstone, against 172 in one transaction.
const BURY_STRIDE = 20;

// Postgres deletes a large body in pieces of 2 kB: 2,000 pieces beside the rows themselves.
const MAX_BATCH_BYTES = 4_194_304;

/**
 * Deletes or buries about `batchSize` expired rows, fewer if their bodies are large. Throws what the database throws.
 *
 * @param from `next` of the batch before, so that its rows are not looked at again.
 * @param announce called for each crashed lease before the sweep deletes it, at the end of its fence.
 */
export async function sweepBatch(
  parts: StoreParts,
  batchSize: number,
  from?: Position,
  announce?: AnnounceCrash,
): Promise<Swept> {
  const startedAt = performance.now();
  const ended = from === undefined ? await endCrashes(parts, announce) : 0;
  const outcome =
    parts.dialect.kind === "citus"
      ? await sweepSlice(parts, batchSize)
      : await sweepRows(parts, batchSize, from);
  if (outcome.kind === "unavailable") throw outcome.cause;
  publish("oncekey:sweep", () => ({
    deletedRows: outcome.deleted + ended,
    buriedRows: outcome.buried,
    sweepMs: performance.now() - startedAt,
  }));
  return { ...outcome, deleted: outcome.deleted + ended };
}

async function sweepRows(parts: StoreParts, batchSize: number, from: Position | undefined) {
  const { statements, schema } = parts;
  const values = [
    String(batchSize),
    purposeLockId(schema, "sweep"),
    from ?? null,
    String(MAX_BATCH_BYTES),
  ];
  const swept = await inOneRoundTrip(
    parts,
    [{ text: statements.planSweep }, { text: statements.sweep, values, isPlannedAnew: true }],
    "commit",
    ([, result]) => {
      const [deleted, chosen, due, last, fenced] = result?.rows[0] ?? [];
      const isLast = Number(chosen) === Number(due) && Number(due) < batchSize;
      return {
        kind: "swept" as const,
        deleted: Number(deleted),
        next: isLast ? undefined : (last ?? undefined),
        fenced: fenced?.split(" ") ?? [],
      };
    },
  );
  if (swept.kind === "unavailable") return swept;
  const { fenced, ...rest } = swept;
  const buried = await bury(parts, fenced);
  return typeof buried === "number" ? { ...rest, buried } : buried;
}

/** Makes tombstones of rows, by their ids, and returns how many. */
async function bury(parts: StoreParts, ids: readonly string[]): Promise<number | Unavailable> {
  const { statements, schema } = parts;
  let buried = 0;
  for (let turn = 0; turn < Math.min(BURY_STRIDE, ids.length); turn += 1) {
    const chosen = ids.filter((_, index) => index % BURY_STRIDE === turn);
    const list = `{${chosen.map((id) => `"${id}"`).join(",")}}`;
    const values = [list, purposeLockId(schema, "sweep")];
    const outcome = await inOneRoundTrip(
      parts,
      [ASYNCHRONOUS, { text: statements.bury, values }],
      "commit",
      ([, result]) => ({ kind: "buried" as const, rows: rowsOf(result) }),
    );
    if (outcome.kind === "unavailable") return outcome;
    buried += outcome.rows;
  }
  return buried;
}

// A crash of the database may undo it: then the next sweep does it again.
const ASYNCHRONOUS = { text: "set local synchronous_commit = off" };

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
      return { kind: "swept", deleted: 0, buried: 0, next: undefined };
    }
    const [gone, tombstones] = await ask(client, [
      { text: statements.sweepUntil, values: [until] },
      { text: statements.buryUntil, values: [until] },
      { text: "commit" },
    ]);
    connection.release();
    const deleted = rowsOf(gone);
    const buried = rowsOf(tombstones);
    const next = deleted + buried < batchSize ? undefined : until;
    return { kind: "swept", deleted, buried, next };
  });
}

function rowsOf(result: StatementResult | undefined): number {
  return Number(result?.tag.split(" ").at(-1) ?? 0);
}
