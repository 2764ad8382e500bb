/** One slice: a server under load for a moment, and what that used. */
import { takeSnapshot, useBetween } from "./cpu.ts";
import type { LoadOrder } from "./load-order.ts";
import type { Lab, MeasuredServer } from "./lab.ts";

/** Figures of a slice. Those of the CPU and the WAL are for one request; `undefined` if the system does not report it. */
export interface Figures {
  readonly requests: number;
  /** Requests a second. */
  readonly rate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly serverUs: number | undefined;
  readonly databaseUs: number | undefined;
  readonly loaderUs: number | undefined;
  readonly walBytes: number;
  /** Part of the machine's CPU that other processes used. `@range 0–1` */
  readonly noise: number | undefined;
}

type SliceOrder = Omit<LoadOrder, "kind" | "port">;

/** Above this part of the CPU, other processes decide the figures. */
export const NOISY = 0.12;

export async function measureSlice(
  lab: Lab,
  server: MeasuredServer,
  order: SliceOrder,
): Promise<Figures> {
  const processes = { server: server.pid, databases: lab.databases, loader: lab.loader.pid };
  const lsn = await walPosition(lab);
  const before = await takeSnapshot(processes);
  const { requests, elapsedMs, p50Ms, p99Ms } = await lab.loader.load({
    port: server.port,
    ...order,
  });
  const used = useBetween(before, await takeSnapshot(processes));
  const walBytes = Number((await walPosition(lab)) - lsn);
  // Below zero: a process ended within the slice and took its time along.
  const each = (total: number | undefined): number | undefined =>
    total === undefined || total < 0 ? undefined : total / requests;
  return {
    requests,
    rate: (requests / elapsedMs) * 1_000,
    p50Ms,
    p99Ms,
    serverUs: each(used?.server),
    databaseUs: each(used?.databases),
    loaderUs: each(used?.loader),
    walBytes: walBytes / requests,
    noise: used?.noise,
  };
}

async function walPosition({ admin }: Lab): Promise<bigint> {
  const { rows } = await admin.query<{ bytes: string }>(
    "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint as bytes",
  );
  return BigInt(rows[0]?.bytes ?? 0);
}
