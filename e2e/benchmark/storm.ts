/** 64 duplicates of one slow request at once, and what they cost all others; and the same 64 to a bare route. */
import type { Lab, MeasuredServer } from "./lab.ts";
import { medianOf } from "./statistics.ts";

export interface StormRound {
  /** One request to the bare route, with no other load. */
  readonly aloneMs: number;
  readonly bareStormMs: number;
  readonly stormMs: number;
  /** Medians of the bystanders. */
  readonly quietMs: number;
  readonly bareBesideMs: number;
  readonly besideMs: number;
  /** The most connections out of the pool during the storm, those of the bystanders included. */
  readonly connections: number;
}

export const DUPLICATES = 64;
export const HANDLER_MS = 50;
const BYSTANDERS = { bystanders: 15, gapMs: 3 };

export async function runStorms(
  { loader }: Lab,
  server: MeasuredServer,
  rounds: number,
): Promise<StormRound[]> {
  const storm = async (path: string, duplicates: number): Promise<readonly [number, number]> => {
    const order = { port: server.port, path, duplicates, handlerMs: HANDLER_MS, ...BYSTANDERS };
    const { stormMs, besideMs } = await loader.storm(order);
    return [stormMs, medianOf(besideMs)];
  };
  const alone = { port: server.port, path: "/bare", duplicates: 1, handlerMs: HANDLER_MS };
  const found: StormRound[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const { stormMs: aloneMs } = await loader.storm({ ...alone, bystanders: 0, gapMs: 0 });
    const [, quietMs] = await storm("/bare", 0);
    const [bareStormMs, bareBesideMs] = await storm("/bare", DUPLICATES);
    await server.ask({ ask: "held" });
    const [stormMs, besideMs] = await storm("/payments", DUPLICATES);
    const held = await server.ask({ ask: "held" });
    const connections = held.kind === "held" ? held.connections : Number.NaN;
    const measured = {
      aloneMs,
      quietMs,
      bareStormMs,
      bareBesideMs,
      stormMs,
      besideMs,
      connections,
    };
    // The first one warms up.
    if (round > 0) found.push(measured);
  }
  return found;
}
