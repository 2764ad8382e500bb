/** Holds the handlers of a server before their effects until the rig lets them go on. */
import { reportLine } from "../protocol/report-line.ts";

let gate: PromiseWithResolvers<void> | undefined;

export function setGate(isClosed: boolean): void {
  if (isClosed) gate ??= Promise.withResolvers<void>();
  else {
    gate?.resolve();
    gate = undefined;
  }
}

/** Waits at a closed gate, and reports that to the rig. */
export async function passGate(): Promise<void> {
  if (gate === undefined) return;
  reportLine({ kind: "held" });
  await gate.promise;
}
