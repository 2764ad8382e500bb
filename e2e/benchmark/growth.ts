/** `bench --growth`: requests and sweeps beside many records, before and after one retention has passed. */
import { addExpired, addLive, pickKeys, sizeOfRecord } from "./growth-table.ts";
import type { KeyVersion, RecordsTable, RecordSize } from "./growth-table.ts";
import { openLab, openPool } from "./lab.ts";
import type { Lab, MeasuredServer } from "./lab.ts";
import type { LoadOrder } from "./load-order.ts";
import { describeMachine } from "./machine.ts";
import type { Machine } from "./machine.ts";
import type { OnProgress } from "./progress.ts";
import { createKeys } from "./rounds.ts";
import type { Plan } from "./settings.ts";
import { measureSlice } from "./slice.ts";
import type { Figures } from "./slice.ts";
import { PATH } from "./subjects/subjects.ts";

/** `filled`: the responses came in order and none has expired. `turned`: as many had come and expired before. */
export type Phase = "filled" | "turned";

export interface GrowthState {
  readonly version: KeyVersion;
  /** Responses that are kept. */
  readonly rows: number;
  readonly phase: Phase;
  readonly size: RecordSize | undefined;
  /** Time of each full batch of the sweep, in ms. */
  readonly sweepMs: readonly number[];
}

export interface GrowthSlice extends Figures, Pick<GrowthState, "version" | "rows" | "phase"> {
  readonly kind: "first" | "replay";
  readonly connections: number;
  readonly round: number;
}

export interface Growth {
  readonly machine: Machine;
  readonly slices: readonly GrowthSlice[];
  readonly states: readonly GrowthState[];
}

const VERSIONS: readonly KeyVersion[] = ["v7", "v4"];
const CONNECTIONS = [1, 16];
const KEYS = 1_000;
/** Responses that are swept beside a filled table. */
const SWEPT = 20_000;

interface Table extends RecordsTable {
  readonly rows: number;
  readonly phase: Phase;
  readonly server: MeasuredServer;
  readonly name: string;
}

export async function measureGrowth(
  sizes: readonly number[],
  plan: Plan,
  onProgress: OnProgress,
): Promise<Growth> {
  const lab = await openLab();
  const slices: GrowthSlice[] = [];
  const states: GrowthState[] = [];
  const ways = sizes.flatMap((rows) =>
    rows === 0
      ? [{ rows, phase: "filled" as const }]
      : [
          { rows, phase: "filled" as const },
          { rows, phase: "turned" as const },
        ],
  );
  const steps = ways.length * VERSIONS.length * (plan.rounds + 1);
  let done = 0;
  const tell = (what: string): void => onProgress(done++, steps, what);
  try {
    for (const version of VERSIONS) {
      const tables: Table[] = [];
      for (const { rows, phase } of ways) {
        tell(`fills ${rows.toLocaleString("en")} records, ${version}, ${phase}`);
        const [table, state] = await openTable(lab, version, rows, phase);
        tables.push(table);
        states.push(state);
      }
      for (let round = 1; round <= plan.rounds; round += 1) {
        // As after every checkpoint, each page is logged whole when it is first touched.
        await lab.admin.query("checkpoint");
        for (const table of round % 2 === 1 ? tables : tables.toReversed()) {
          tell(`round ${round} of ${plan.rounds}: ${table.rows.toLocaleString("en")}, ${version}`);
          slices.push(...(await measureTable(lab, table, plan, round)));
        }
      }
      for (const table of tables) await drop(lab, table);
    }
    return { machine: await describeMachine(lab), slices, states };
  } finally {
    await lab.stop();
  }
}

async function openTable(
  lab: Lab,
  version: KeyVersion,
  rows: number,
  phase: Phase,
): Promise<readonly [Table, GrowthState]> {
  const name = `growth_${version}_${rows}_${phase}`;
  const url = await lab.database(name);
  const server = await lab.start("advisory", url);
  const pool = openPool(url);
  const [template = ""] = await createKeys(lab, { port: server.port, kind: "replay", count: 1 });
  const table: Table = { version, rows, phase, template, pool, server, name };
  if (phase === "filled") await addLive(table, rows);
  await addExpired(table, phase === "filled" ? SWEPT : rows);
  const swept = await server.ask({ ask: "sweep" });
  if (phase === "turned") {
    await pool.query("vacuum analyze oncekey.records");
    await addLive(table, rows);
  }
  await lab.loader.load({
    port: server.port,
    path: PATH.first,
    connections: 16,
    keys: version,
    until: { requests: KEYS },
    isReplay: false,
  });
  const size = await sizeOfRecord(table);
  const sweepMs = swept.kind === "swept" ? swept.batchMs : [];
  return [table, { version, rows, phase, size, sweepMs }];
}

async function measureTable(
  lab: Lab,
  table: Table,
  plan: Plan,
  round: number,
): Promise<GrowthSlice[]> {
  const { version, rows, phase, server } = table;
  const stored =
    rows === 0
      ? await createKeys(lab, { port: server.port, kind: "replay", count: KEYS })
      : await pickKeys(table, rows, KEYS);
  const found: GrowthSlice[] = [];
  for (const connections of CONNECTIONS) {
    for (const kind of ["first", "replay"] as const) {
      const keys: LoadOrder["keys"] = kind === "first" ? version : stored;
      const order = { path: PATH[kind], connections, keys, until: plan.slice };
      const figures = await measureSlice(lab, server, { ...order, isReplay: kind === "replay" });
      found.push({ version, rows, phase, round, kind, connections, ...figures });
    }
  }
  return found;
}

async function drop({ admin }: Lab, { pool, server, name }: Table): Promise<void> {
  await Promise.all([pool.end(), server.stop()]);
  await admin.query(`drop database shop_${name} with (force)`);
}
