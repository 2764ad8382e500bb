/** The quiet end of a run: every key is repeated, at servers that are all up again. */
import type { History } from "../history/history.ts";
import type { Sending } from "../load/clients.ts";
import type { Way } from "../load/recorder.ts";
import { settle, stillAsked } from "../load/settle.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Random } from "../protocol/random.ts";
import { LEASE_MS, policyOf } from "../protocol/routes.ts";
import { chooseWay } from "./way.ts";

// A handler that breaks more often than not is asked again until it does not: on a busy machine that takes its time.
const SETTLE_MS = 30 * LEASE_MS;

export interface ToAsk {
  readonly keys: readonly Sending[];
  readonly random: Random;
  /** Time limit of each key. Default 30 leases. */
  readonly settleMs?: number | undefined;
}

/** When all servers are there again. @returns the keys for which the time, or the patience of a person, did not suffice. */
export async function askOnceMore(
  fleet: Fleet,
  { keys, random, settleMs = SETTLE_MS }: ToAsk,
  history: History,
  over: AbortSignal,
): Promise<Sending[]> {
  const isOver = new Promise<never>((_, reject) => {
    const end = (): void => reject(new Error("there is no time left"));
    if (over.aborted) end();
    over.addEventListener("abort", end);
  });
  // No caller may be waiting for it.
  isOver.catch(() => undefined);
  const allUp = Promise.all(fleet.servers.map((server) => server.up()));
  await Promise.race([allUp, isOver]).catch(() => undefined);
  // A server that never comes back is waited for no longer than that.
  const wayOf = (): Promise<Way> => Promise.race([chooseWay(fleet, random, 0), isOver]);
  const asked = stillAsked(keys, history.events, policyOf);
  return settle({ history, policyOf, wayOf }, asked, settleMs, over);
}
