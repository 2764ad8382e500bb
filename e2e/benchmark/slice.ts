/** One slice: a server under load for a moment, and what that used. */
import { takeSnapshot, useBetween } from "./cpu.ts";
import type { LoadOrder, LoadResult } from "./load-order.ts";
import type { Lab, MeasuredServer } from "./lab.ts";
import type { Plan } from "./settings.ts";

/** Figures of a slice. The CPU and the WAL are for one request; `undefined` if the system does not report it. */
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

export function measureSlice(
  lab: Lab,
  server: MeasuredServer,
  order: SliceOrder,
): Promise<Figures> {
  return measureRun(lab, server.pid, () => lab.loader.load({ port: server.port, ...order }));
}

/** Requests that were made, and how long they took. */
type Run = Pick<LoadResult, "requests" | "elapsedMs" | "p50Ms" | "p99Ms">;

/** @param server process id of what serves the requests. */
export async function measureRun(
  lab: Lab,
  server: number,
  run: () => Promise<Run>,
): Promise<Figures> {
  const processes = { server, databases: lab.databases, loader: lab.loader.pid };
  const lsn = await walPosition(lab);
  const before = await takeSnapshot(processes);
  const { requests, elapsedMs, p50Ms, p99Ms } = await run();
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

/** Measures again while others use the CPU, and keeps the quietest. For one run, whose repeats it bounds together. */
export function createQuietly({
  repeats,
  repeatMs,
}: Pick<Plan, "repeats" | "repeatMs">): (measure: () => Promise<Figures>) => Promise<Figures> {
  let leftMs = repeatMs;
  return async (measure) => {
    let best = await measure();
    for (let left = repeats; left > 0 && isNoisy(best) && leftMs > 0; left -= 1) {
      const again = await measure();
      leftMs -= (again.requests / again.rate) * 1_000;
      if ((again.noise ?? 0) < (best.noise ?? 0)) best = again;
    }
    return best;
  };
}

function isNoisy({ noise = 0 }: Figures): boolean {
  return noise > NOISY;
}

async function walPosition({ admin }: Lab): Promise<bigint> {
  const { rows } = await admin.query<{ bytes: string }>(
    "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint as bytes",
  );
  return BigInt(rows[0]?.bytes ?? 0);
}
