/** Clients that send a lease's key once and never come back, and kills of their servers while the handlers run. */
import { setTimeout as sleep } from "node:timers/promises";
import { keyDigest } from "@oncekey/server";
import { LimitError, until, within } from "@oncekey/test-support/processes/deadline";
import { ABANDONED } from "../checker/abandoned.ts";
import type { FoundRow } from "../checker/case.ts";
import { NOWHERE, toInit } from "../load/clients.ts";
import type { Sending } from "../load/clients.ts";
import { createRecordedFetch } from "../load/recorder.ts";
import type { RecorderParts, Way } from "../load/recorder.ts";
import type { Fleet } from "../fleet/fleet.ts";
import { DIGEST_SECRET } from "../protocol/messages.ts";
import type { Random } from "../protocol/random.ts";
import { ABANDONED_ROUTES, UNDECIDED_ROUTE } from "../protocol/routes.ts";
import type { DrawKey } from "../protocol/days.ts";

export interface AbandonOptions extends RecorderParts {
  readonly fleet: Fleet;
  readonly random: Random;
  readonly drawKey: DrawKey;
  /** Number of keys whose effects are there when their server is killed. */
  readonly count: number;
  /** Prefix of the scopes. */
  readonly scopes: string;
  readonly signal: AbortSignal;
}

export interface Abandoning {
  /** The keys that were sent. */
  readonly keys: readonly Sending[];
  readonly kills: () => number;
  readonly done: Promise<void>;
}

const BATCH = 50;
// Handlers of one scope may hold a quarter of a server's pool.
const SCOPES = 25;
// Longer than the server lives: it is killed while the handler works.
const ENDLESS_MS = 600_000;
const SOON_MS = 5;
// One handler in so many ends before the kill: its answer finds no client.
const ENDING = 8;
const BEGIN_MS = 3_000;
const BETWEEN_MS = 4_000;

export function abandonKeys(options: AbandonOptions): Abandoning {
  const keys: Sending[] = [];
  let kills = 0;
  const work = async (): Promise<void> => {
    let begun = 0;
    while (begun < options.count && !options.signal.aborted) {
      const batch = Array.from({ length: Math.min(BATCH, options.count - begun) }, (_, n) =>
        drawSending(options, keys.length + n),
      );
      keys.push(...batch);
      begun += await abandonBatch(options, batch);
      kills += 1;
      // The other strikes need servers too.
      if (begun < options.count) await sleep(BETWEEN_MS);
    }
  };
  return { keys, kills: () => kills, done: work() };
}

function drawSending({ random, drawKey, scopes }: AbandonOptions, number: number): Sending {
  const route = ABANDONED_ROUTES[number % ABANDONED_ROUTES.length] ?? UNDECIDED_ROUTE;
  const isEnding = route !== UNDECIDED_ROUTE && random.below(ENDING) === 0;
  return {
    operation: random.uuid(),
    scope: `${scopes}-abandoned-${number % SCOPES}`,
    key: drawKey(random, route.policy),
    path: route.path,
    search: "",
    order: { deed: "charge", amount: 1, workMs: isEnding ? SOON_MS : ENDLESS_MS },
  };
}

/** Sends all at once to one server and kills it when their effects are there. Returns how many were. */
async function abandonBatch(options: AbandonOptions, batch: readonly Sending[]): Promise<number> {
  const { fleet, history, policyOf, signal } = options;
  const { name } = await fleet.anyServer();
  const server = fleet.servers.find((one) => one.name === name);
  if (server === undefined) return 0;
  const wayOf = async (): Promise<Way> => ({ server: name, origin: await fleet.originOf(name) });
  const recorded = createRecordedFetch({ history, policyOf, wayOf }, ABANDONED);
  const hangUp = new AbortController();
  const sent = batch.map((sending) =>
    recorded(`${NOWHERE}${sending.path}`, { ...toInit(sending), signal: hangUp.signal }).catch(
      () => undefined,
    ),
  );
  const wanted = batch.map(({ key }) => key);
  let effects = 0;
  const hasBegun = async (): Promise<boolean> => {
    effects = await countEffects(fleet, wanted);
    return signal.aborted || effects === batch.length;
  };
  // Not all of them: the server may refuse some, or be struck.
  const what = "the effects of abandoned keys";
  await until(hasBegun, { what, patienceMs: BEGIN_MS }).catch(ignoreLimit);
  const fault = `kill ${name} under abandoned keys of ${batch[0]?.key ?? ""}`;
  history.add({ kind: "fault", phase: "begin", fault, servers: [name] });
  server.signal("SIGKILL");
  hangUp.abort();
  await Promise.all(sent);
  await within(server.up(), { what: `server ${name}` }).catch(ignoreLimit);
  history.add({ kind: "fault", phase: "end", fault });
  return effects;
}

async function countEffects({ pool }: Fleet, keys: readonly unknown[]): Promise<number> {
  try {
    const { rows } = await pool.query<{ found: number }>(
      "select count(*)::int as found from effects where key = any($1)",
      [keys],
    );
    return rows[0]?.found ?? 0;
  } catch {
    // A strike may end the rig's own connections too.
    return 0;
  }
}

const LEFT = `select count(*)::int as "left" from oncekey.records where key = any($1) and status is null`;

/** When all servers are up: waits for crash recovery and the sweep, and lets the operator decide about the rest. */
export async function awaitOutcomes(
  { anyServer, pool }: Fleet,
  keys: readonly Sending[],
  signal: AbortSignal,
  patienceMs?: number,
): Promise<void> {
  if (keys.length === 0) return;
  const wanted = keys.map(({ key }) => key);
  const isOver = async (): Promise<boolean> => {
    if (signal.aborted) return true;
    const { port } = await anyServer();
    await fetch(`http://127.0.0.1:${port}/operate`, { method: "POST", signal }).catch(
      () => undefined,
    );
    const { rows } = await pool.query<{ left: number }>(LEFT, [wanted]);
    return rows[0]?.left === 0;
  };
  const what = "outcomes of abandoned keys";
  const limit = { what, everyMs: 250, ...(patienceMs === undefined ? {} : { patienceMs }) };
  await until(isOver, limit).catch(ignoreLimit);
}

/** The keys whose crashed leases a server has reported. */
export function foundRows(fleet: Fleet, keys: readonly Sending[]): FoundRow[] {
  const reported = new Set(fleet.servers.flatMap((server) => [...server.foundCrashed()]));
  return keys.flatMap(({ scope, key = "", path }): FoundRow[] =>
    reported.has(keyDigest(key, DIGEST_SECRET))
      ? [{ kind: "found", scope, key, target: `POST ${path}` }]
      : [],
  );
}

// The checker judges results that did not come in time.
function ignoreLimit(error: unknown): void {
  if (!(error instanceof LimitError)) throw error;
}
