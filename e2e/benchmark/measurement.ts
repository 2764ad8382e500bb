/** A whole measurement: servers, round trips, storms and rounds. */
import { countTrips } from "./counts.ts";
import type { Count } from "./counts.ts";
import { openLab } from "./lab.ts";
import type { MeasuredServer } from "./lab.ts";
import { describeMachine } from "./machine.ts";
import type { Machine } from "./machine.ts";
import { ABSENT, NEEDS_REDIS, reasonAgainst } from "./peers/peers.ts";
import type { Skipped } from "./peers/peers.ts";
import type { OnProgress } from "./progress.ts";
import { runRounds } from "./rounds.ts";
import type { Slice } from "./rounds.ts";
import type { Plan } from "./settings.ts";
import { runStorms } from "./storm.ts";
import type { StormRound } from "./storm.ts";
import { PEERS } from "./subjects/subjects.ts";
import type { SubjectName } from "./subjects/subjects.ts";

export interface Measurement {
  readonly machine: Machine;
  readonly slices: readonly Slice[];
  readonly storms: readonly StormRound[];
  readonly counts: readonly Count[];
  readonly skipped: readonly Skipped[];
}

export async function measure(plan: Plan, onProgress: OnProgress): Promise<Measurement> {
  const skipped: Skipped[] = [...ABSENT];
  const names = plan.subjects.filter((name) => {
    const peer = PEERS.find((one) => one === name);
    const reason = peer === undefined ? undefined : reasonAgainst(peer);
    if (reason !== undefined) skipped.push({ name, reason });
    return reason === undefined;
  });
  const lab = await openLab({ withRedis: names.some((name) => NEEDS_REDIS.has(name)) });
  try {
    const servers = new Map<SubjectName, MeasuredServer>();
    const counts: Count[] = [];
    for (const name of names) {
      onProgress(0, 1, `starts ${name} and counts its round trips`);
      try {
        const server = await lab.start(name, await lab.database(name));
        counts.push(...(name === "F0" ? [] : await countTrips(lab, name)));
        servers.set(name, server);
      } catch (error) {
        // A peer is another project's: if it does not start, the rest is measured all the same.
        if (!PEERS.some((one) => one === name)) throw error;
        skipped.push({ name, reason: String(error) });
      }
    }
    const advisory = servers.get("advisory");
    onProgress(0, 1, "storms of duplicates");
    const storms = advisory === undefined ? [] : await runStorms(lab, advisory, plan.stormRounds);
    const slices = await runRounds(lab, servers, plan, onProgress);
    return { machine: await describeMachine(lab), slices, storms, counts, skipped };
  } finally {
    await lab.stop();
  }
}
