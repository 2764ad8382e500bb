/** `bench --growth`: requests and sweeps beside many records, before and after one retention has passed. */
import pg from "pg";
import { addExpired, fill, pickKeys, sizeOfRecord, turnOver } from "./growth-table.ts";
import type { KeyVersion, RecordSize } from "./growth-table.ts";
import { openLab } from "./lab.ts";
import type { Lab, MeasuredServer } from "./lab.ts";
import { describeMachine } from "./machine.ts";
import type { Machine } from "./machine.ts";
import type { OnProgress } from "./progress.ts";
import { createKeys } from "./rounds.ts";
import type { Plan } from "./settings.ts";
import { measureSlice } from "./slice.ts";
import type { Figures } from "./slice.ts";
import { PATH } from "./subjects.ts";

export interface GrowthSlice extends Figures {
  readonly version: KeyVersion;
  readonly rows: number;
  readonly phase: Phase;
  readonly kind: "first" | "replay";
  readonly connections: number;
  readonly round: number;
}

/** `filled`: the records came in order and none has gone. `turned`: each has been replaced once. */
export type Phase = "filled" | "turned";

export interface GrowthState {
  readonly version: KeyVersion;
  readonly rows: number;
  readonly phase: Phase;
  /** `undefined` if there are too few records for a mean. */
  readonly size: RecordSize | undefined;
  /** Time of each full batch of the sweep, in ms. */
  readonly sweepMs: readonly number[];
}

export interface Growth {
  readonly machine: Machine;
  readonly slices: readonly GrowthSlice[];
  readonly states: readonly GrowthState[];
}

const VERSIONS: readonly KeyVersion[] = ["v7", "v4"];
const CONNECTIONS = [1, 16];
const KEYS = 1_000;
const SWEPT = 20_000;

interface Table {
  readonly version: KeyVersion;
  readonly rows: number;
  readonly pool: pg.Pool;
  readonly server: MeasuredServer;
}

export async function measureGrowth(
  sizes: readonly number[],
  plan: Plan,
  onProgress: OnProgress,
): Promise<Growth> {
  const lab = await openLab();
  const tables: Table[] = [];
  const slices: GrowthSlice[] = [];
  const states: GrowthState[] = [];
  const steps = sizes.length * VERSIONS.length * 2 * (plan.rounds + 2);
  let done = 0;
  const tell = (what: string): void => onProgress(done++, steps, what);
  try {
    for (const version of VERSIONS) {
      for (const rows of sizes) {
        tell(`fills ${rows.toLocaleString("en")} records, ${version}`);
        tables.push(await openTable(lab, version, rows));
      }
    }
    for (const phase of ["filled", "turned"] as const) {
      for (const table of tables) {
        const { pool, version, rows } = table;
        tell(`sweeps beside ${rows.toLocaleString("en")} records, ${version}, ${phase}`);
        if (phase === "turned" && rows > 0) await turnOver(pool, version, rows);
        const size = await sizeOfRecord(pool);
        states.push({ version, rows, phase, size, sweepMs: await sweep(table) });
      }
      for (let round = 1; round <= plan.rounds; round += 1) {
        // As after every checkpoint, each page is logged whole when it is first touched.
        await lab.admin.query("checkpoint");
        for (const table of round % 2 === 1 ? tables : tables.toReversed()) {
          const { version, rows } = table;
          tell(
            `round ${round} of ${plan.rounds}: ${rows.toLocaleString("en")}, ${version}, ${phase}`,
          );
          for (const one of await measureTable(lab, table, plan))
            slices.push({ version, rows, phase, round, ...one });
        }
      }
    }
    return { machine: await describeMachine(lab), slices, states };
  } finally {
    await Promise.all(tables.map(({ pool }) => pool.end()));
    await lab.stop();
  }
}

async function openTable(lab: Lab, version: KeyVersion, rows: number): Promise<Table> {
  const url = await lab.database(`growth_${version}_${rows}`);
  const server = await lab.start("advisory", url);
  const pool = new pg.Pool({ connectionString: url, max: 1 });
  // The record that the others are copies of.
  await createKeys(lab, { port: server.port, kind: "replay", count: 1 });
  await fill(pool, version, rows);
  await lab.loader.load({
    port: server.port,
    path: PATH.first,
    connections: 16,
    keys: version,
    until: { requests: KEYS },
    isReplay: false,
  });
  return { version, rows, pool, server };
}

/** Sweeps what has been added for it. */
async function sweep({ pool, version, server }: Table): Promise<readonly number[]> {
  await addExpired(pool, version, SWEPT);
  const answer = await server.ask({ ask: "sweep" });
  return answer.kind === "swept" ? answer.batchMs : [];
}

async function measureTable(
  lab: Lab,
  { version, rows, pool, server }: Table,
  plan: Plan,
): Promise<(Figures & Pick<GrowthSlice, "kind" | "connections">)[]> {
  const stored =
    rows === 0
      ? await createKeys(lab, { port: server.port, kind: "replay", count: KEYS })
      : await pickKeys(pool, rows, KEYS);
  const found = [];
  for (const connections of CONNECTIONS) {
    const order = { connections, until: plan.slice };
    const first = { ...order, path: PATH.first, keys: version, isReplay: false };
    found.push({
      kind: "first" as const,
      connections,
      ...(await measureSlice(lab, server, first)),
    });
    const replay = { ...order, path: PATH.replay, keys: stored, isReplay: true };
    found.push({
      kind: "replay" as const,
      connections,
      ...(await measureSlice(lab, server, replay)),
    });
  }
  return found;
}
