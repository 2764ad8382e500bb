/** Deletes records on purpose and asks again: by the server that deleted it, such a key runs anew. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Sending } from "../load/clients.ts";
import { createRecordedFetch } from "../load/recorder.ts";
import { settleOne } from "../load/settle.ts";
import type { RecorderParts, Way } from "../load/recorder.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Random } from "../protocol/random.ts";
import type { Route } from "../protocol/routes.ts";
import type { DrawKey } from "../protocol/days.ts";

export interface ForgetterOptions extends RecorderParts {
  readonly fleet: Fleet;
  readonly random: Random;
  readonly drawKey: DrawKey;
  readonly routes: readonly Route[];
  /** Scope of the records. */
  readonly scope: string;
  readonly signal: AbortSignal;
  /**
   * Called with each key: on a slow machine a key may have to be repeated in the end, as all the
   * others.
   */
  readonly onKey: (sending: Sending) => void;
}

const EVERY_MS = 250;
const PATIENCE_MS = 30_000;

/** Goes on until the signal. */
export async function forgetAgainAndAgain(options: ForgetterOptions): Promise<void> {
  const { routes, signal } = options;
  for (let turn = 0; !signal.aborted; turn += 1) {
    const route = routes[turn % routes.length];
    if (route === undefined) return;
    await forgetOne(options, route);
    await sleep(EVERY_MS);
  }
}

async function forgetOne(options: ForgetterOptions, route: Route): Promise<void> {
  const { fleet, random, drawKey, history, policyOf } = options;
  const { name: server } = await fleet.anyServer();
  const wayOf = async (): Promise<Way> => ({ server, origin: await fleet.originOf(server) });
  const recorded = createRecordedFetch({ history, policyOf, wayOf }, "forgetter");
  const operation = random.uuid();
  const key = drawKey(random, route.policy);
  const ticket = { scope: options.scope, key, target: `POST ${route.path}` };
  const order = { deed: "charge" as const, amount: 1, workMs: 0 };
  const sending: Sending = { operation, ...ticket, path: route.path, search: "", order };
  options.onKey(sending);
  await settleOne(recorded, sending, PATIENCE_MS);
  history.add({ kind: "forget", phase: "asked", server, ...ticket });
  const isForgotten = await forget((await wayOf()).origin, ticket);
  if (isForgotten) history.add({ kind: "forget", phase: "done", server, ...ticket });
  await settleOne(recorded, sending, PATIENCE_MS);
}

async function forget(origin: string, ticket: object): Promise<boolean> {
  try {
    const response = await fetch(`${origin}/forget`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(ticket),
    });
    return response.ok && ((await response.json()) as { forgotten: number }).forgotten === 1;
  } catch {
    return false;
  }
}
