/** Callers that hang up on handlers and reply streams without end, and leave their keys to be asked for in the end. */
import { setTimeout as sleep } from "node:timers/promises";
import { toInit, NOWHERE } from "../load/clients.ts";
import type { Sending } from "../load/clients.ts";
import { createRecordedFetch } from "../load/recorder.ts";
import type { RecorderParts } from "../load/recorder.ts";
import type { Random } from "../protocol/random.ts";
import type { Route } from "../protocol/routes.ts";
import type { DrawKey } from "../protocol/days.ts";

export interface HangUpOptions extends RecorderParts {
  readonly random: Random;
  readonly drawKey: DrawKey;
  readonly routes: readonly Route[];
  readonly scope: string;
  readonly signal: AbortSignal;
  /** Called for each key: its request has to be asked for in the end. */
  readonly onKey: (sending: Sending) => void;
}

const EVERY_MS = 500;
const PATIENCE_MS = 150;

/** Goes on until the signal. Returns how many have hung up. */
export async function hangUpAgainAndAgain(options: HangUpOptions): Promise<number> {
  const { routes, random, drawKey, scope, signal, onKey } = options;
  const recorded = createRecordedFetch(options, "hangs up");
  let count = 0;
  for (let turn = 0; !signal.aborted; turn += 1) {
    const route = routes[turn % routes.length];
    if (route === undefined) return count;
    const order = { deed: random.pick(["hang", "stall"] as const), amount: 1, workMs: 0 };
    const key = drawKey(random, route.policy);
    const ticket = { operation: random.uuid(), scope, key };
    const sending: Sending = { ...ticket, path: route.path, search: "", order };
    onKey(sending);
    const patience = AbortSignal.timeout(PATIENCE_MS);
    try {
      await recorded(`${NOWHERE}${route.path}`, { ...toInit(sending), signal: patience });
    } catch {
      count += 1;
    }
    await sleep(EVERY_MS);
  }
  return count;
}
