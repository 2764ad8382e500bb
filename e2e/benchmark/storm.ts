/** 64 slow requests at once and what they cost all others: duplicates of one, new keys of one scope, and the same 64 to a bare route. */
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
  /** Medians of bystanders of another scope, beside new keys of one scope: with its share of the pool, and without a limit. */
  readonly sharedBesideMs: number;
  readonly unlimitedBesideMs: number;
  /** The most connections out of the pool during the storm of one scope. */
  readonly sharedConnections: number;
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
  const stormOfScope = async (path: string): Promise<number> => {
    const order = { port: server.port, path, duplicates: DUPLICATES, handlerMs: HANDLER_MS };
    const { besideMs } = await loader.storm({ ...order, ...BYSTANDERS, isOfOneScope: true });
    return medianOf(besideMs);
  };
  const mostHeld = async (): Promise<number> => {
    const held = await server.ask({ ask: "held" });
    return held.kind === "held" ? held.connections : Number.NaN;
  };
  const alone = { port: server.port, path: "/bare", duplicates: 1, handlerMs: HANDLER_MS };
  const found: StormRound[] = [];
  for (let round = 0; round <= rounds; round += 1) {
    const { stormMs: aloneMs } = await loader.storm({ ...alone, bystanders: 0, gapMs: 0 });
    const [, quietMs] = await storm("/bare", 0);
    const [bareStormMs, bareBesideMs] = await storm("/bare", DUPLICATES);
    await mostHeld();
    const [stormMs, besideMs] = await storm("/payments", DUPLICATES);
    const connections = await mostHeld();
    const sharedBesideMs = await stormOfScope("/shared");
    const sharedConnections = await mostHeld();
    const unlimitedBesideMs = await stormOfScope("/unlimited");
    const measured = {
      aloneMs,
      quietMs,
      bareStormMs,
      bareBesideMs,
      stormMs,
      besideMs,
      connections,
      sharedBesideMs,
      unlimitedBesideMs,
      sharedConnections,
    };
    // The first one warms up.
    if (round > 0) found.push(measured);
  }
  return found;
}
