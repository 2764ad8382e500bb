/** Sweeps one batch: deletes the records that are over, and makes tombstones of expired responses. */
import { publish } from "../../telemetry/events.ts";
import type { StatementResult } from "../postgres/batch.ts";
import { purposeLockId } from "../lock-id.ts";
import type { StoreParts } from "../store-parts.ts";
import { ask, askToBegin, sqlState } from "../postgres/transaction.ts";
import { inOneRoundTrip, withConnection } from "../round-trip.ts";
import { partitionsOf, readDays } from "../sql/days.ts";
import type { Partition } from "../sql/days.ts";
import { sweepStatements } from "../sql/sweep-statements.ts";
import type { SweepStatements } from "../sql/sweep-statements.ts";
import type { Unavailable } from "../store.ts";
import { keepDays } from "./days.ts";
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
  /** Partitions of days that were over. Only if the table has partitions. */
  readonly droppedDays?: number;
}

/** The instant of the last row of a batch, in microseconds since 1970; before it the partition, if there are several. */
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
  const outcome = await sweepTable(parts, batchSize, from);
  if (outcome.kind === "unavailable") throw outcome.cause;
  publish("oncekey:sweep", () => ({
    deletedRows: outcome.deleted + ended,
    buriedRows: outcome.buried,
    sweepMs: performance.now() - startedAt,
  }));
  return { ...outcome, deleted: outcome.deleted + ended };
}

function sweepTable(
  parts: StoreParts,
  batchSize: number,
  from: Position | undefined,
): Promise<Swept | Unavailable> {
  const { dialect, statements } = parts;
  if (dialect.kind === "citus") return sweepSlice(parts, batchSize);
  if (dialect.isPartitioned) return sweepPartitions(parts, batchSize, from);
  return sweepRows(parts, statements, { batchSize, from, find: FIND_OVER });
}

/** Sweeps one partition after the other until the batch is full. At the end it adds and drops partitions. */
async function sweepPartitions(
  parts: StoreParts,
  batchSize: number,
  from: Position | undefined,
): Promise<Swept | Unavailable> {
  const { schema, connect } = parts;
  const table = await withConnection(connect, async (connection) => {
    const { days } = await readDays(connection.client, schema);
    connection.release();
    return { kind: "partitions" as const, partitions: partitionsOf(days) };
  });
  if (table.kind === "unavailable") return table;
  const [first, since] = from?.split(" ") ?? [];
  let [deleted, buried] = [0, 0];
  for (const partition of table.partitions) {
    if (first !== undefined && partition.name < first) continue;
    const left = batchSize - deleted - buried;
    const swept = await sweepPartition(parts, partition, {
      batchSize: left,
      from: partition.name === first ? since : undefined,
      find: partition.isDay ? FIND_DUE : FIND_OVER,
    });
    if (swept.kind === "unavailable") return swept;
    deleted += swept.deleted;
    buried += swept.buried;
    if (swept.next !== undefined)
      return { kind: "swept", deleted, buried, next: `${partition.name} ${swept.next}` };
    if (deleted + buried >= batchSize)
      return { kind: "swept", deleted, buried, next: `${partition.name}_` };
  }
  const { dropped } = await keepDays(parts);
  return { kind: "swept", deleted, buried, next: undefined, droppedDays: dropped };
}

async function sweepPartition(
  parts: StoreParts,
  { name }: Partition,
  slice: Slice,
): Promise<Swept | Unavailable> {
  const swept = await sweepRows(parts, sweepStatements(`"${parts.schema}".${name}`), slice);
  // Another process has dropped it just now.
  if (swept.kind === "unavailable" && sqlState(swept.cause) === "42P01")
    return { kind: "swept", deleted: 0, buried: 0, next: undefined };
  return swept;
}

/** Rows of a batch, and the statement that finds them. */
interface Slice {
  readonly batchSize: number;
  readonly from: Position | undefined;
  readonly find: (
    statements: SweepStatements,
    values: (string | null)[],
  ) => { readonly text: string; readonly values: (string | null)[] };
}

const FIND_OVER: Slice["find"] = (statements, values) => ({
  text: statements.sweep,
  values: [...values, String(MAX_BATCH_BYTES)],
});

const FIND_DUE: Slice["find"] = (statements, values) => ({ text: statements.dueToBury, values });

async function sweepRows(
  parts: StoreParts,
  statements: SweepStatements,
  { batchSize, from, find }: Slice,
): Promise<Swept | Unavailable> {
  const values = [String(batchSize), purposeLockId(parts.schema, "sweep"), from ?? null];
  const swept = await inOneRoundTrip(
    parts,
    [{ text: statements.planSweep }, { ...find(statements, values), isPlannedAnew: true }],
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
  const buried = await bury(parts, statements, fenced);
  return typeof buried === "number" ? { ...rest, buried } : buried;
}

/** Makes tombstones of rows, by their ids, and returns how many. */
async function bury(
  parts: StoreParts,
  statements: SweepStatements,
  ids: readonly string[],
): Promise<number | Unavailable> {
  let buried = 0;
  for (let turn = 0; turn < Math.min(BURY_STRIDE, ids.length); turn += 1) {
    const chosen = ids.filter((_, index) => index % BURY_STRIDE === turn);
    const list = `{${chosen.map((id) => `"${id}"`).join(",")}}`;
    const values = [list, purposeLockId(parts.schema, "sweep")];
    // A partition's statements get no name: each session would keep those of every day.
    const statement =
      statements === parts.statements
        ? { text: statements.bury, values }
        : { text: statements.bury, values, isPlannedAnew: true as const };
    const outcome = await inOneRoundTrip(
      parts,
      [ASYNCHRONOUS, statement],
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
    const [gate, bound] = (
      await askToBegin(connection, [
        ...statements.open,
        { text: statements.gate, values: [purposeLockId(schema, "sweep")] },
        { text: statements.sweepBound, values: [String(batchSize)] },
      ])
    ).slice(statements.open.length);
    const until = gate?.rows[0]?.[0] === "t" ? bound?.rows[0]?.[0] : undefined;
    if (until === undefined || until === null) {
      await ask(connection, [{ text: "rollback" }]);
      connection.release();
      return { kind: "swept", deleted: 0, buried: 0, next: undefined };
    }
    const [gone, tombstones] = await ask(connection, [
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
