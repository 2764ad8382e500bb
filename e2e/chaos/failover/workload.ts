/** Clients that send keys, one to three times each at once, and keep asking until every one of them is answered for good. */
import { setTimeout as sleep } from "node:timers/promises";
import { createClient, isIdempotencyError } from "@oncekey/client";
import type { Client } from "@oncekey/client";
import type { Strategy } from "@oncekey/server";
import type { History } from "../history/history.ts";
import { createRecordedFetch } from "../load/recorder.ts";
import { OPERATION_HEADER, SCOPE_HEADER } from "../../shop/effects.ts";
import { STRATEGIES } from "../../shop/strategy-shop.ts";
import { policyOf } from "./routes.ts";

export interface Workload {
  /** When answers came, by `performance.now()`, in order. */
  readonly answeredAt: readonly number[];
  /** Sends no new keys, and resolves once all that were sent are settled, or the signal comes. */
  finish(signal: AbortSignal): Promise<void>;
  /**
   * Repeats every key, at the servers at these addresses. @returns those for which the signal came
   * too early.
   */
  repeat(origins: readonly string[], signal: AbortSignal): Promise<Ticket[]>;
}

interface Ticket {
  readonly scope: string;
  readonly key: string;
  readonly target: string;
}

/** One key with what is sent under it. */
interface Sending {
  readonly key: string;
  readonly strategy: Strategy;
  readonly operation: string;
  readonly turn: number;
}

const LANES = 24;
const MOST_DUPLICATES = 3;
/** Between two keys of a lane, so that what is measured is not how busy the machine is. */
const PAUSE_MS = 40;

/** Starts at once. @param scope whose keys they are: of each workload another. */
export function startWorkload(
  origins: readonly string[],
  scope: string,
  history: History,
): Workload {
  const clients = createClients(origins, scope, history);
  const sendings: Sending[] = [];
  const answeredAt: number[] = [];
  const over = new AbortController();
  const cut = new AbortController();

  async function runLane(lane: number): Promise<void> {
    for (let turn = lane; !over.signal.aborted; turn += 1) {
      const sending = mintSending(turn);
      sendings.push(sending);
      const duplicates = Array.from({ length: 1 + (turn % MOST_DUPLICATES) }, async (_, at) => {
        if (await settle(pick(clients, turn + at), sending, cut.signal))
          answeredAt.push(performance.now());
      });
      await Promise.all(duplicates);
      await sleep(PAUSE_MS);
    }
  }

  const lanes = Array.from({ length: LANES }, (_, lane) => runLane(lane));
  return {
    answeredAt,
    async finish(signal) {
      over.abort();
      if (signal.aborted) cut.abort();
      signal.addEventListener("abort", () => cut.abort());
      await Promise.all(lanes);
    },
    async repeat(others, signal) {
      const left = [...sendings];
      const unasked: Ticket[] = [];
      const afresh = createClients(others, scope, history);
      const lane = async (): Promise<void> => {
        for (let next = left.pop(); next !== undefined; next = left.pop()) {
          if (await settle(pick(afresh, left.length), next, signal)) continue;
          unasked.push({ scope, key: next.key, target: `POST /${next.strategy}` });
        }
      };
      await Promise.all(Array.from({ length: LANES }, lane));
      return unasked;
    },
  };
}

function mintSending(turn: number): Sending {
  const [key, operation] = [crypto.randomUUID(), crypto.randomUUID()];
  return { key, strategy: pick(STRATEGIES, turn), operation, turn };
}

/** Asks with the same key until it is answered; `false`: the signal came before. A refusal for good is in the history, and the checker's to judge. */
async function settle(
  client: Client,
  { key, strategy, operation, turn }: Sending,
  signal: AbortSignal,
): Promise<boolean> {
  for (let repeat = false; !signal.aborted; repeat = true) {
    try {
      const headers = { [OPERATION_HEADER]: operation };
      await client.post(strategy, { key, repeat, json: { turn }, headers, signal });
      return true;
    } catch (error) {
      if (signal.aborted) return false;
      if (!isIdempotencyError(error)) throw error;
      if (error.nextAction !== "resume" && error.nextAction !== "wait") return true;
    }
  }
  return false;
}

function createClients(origins: readonly string[], scope: string, history: History): Client[] {
  return origins.map((origin, at) =>
    createClient({
      ky: {
        prefix: origin,
        headers: { [SCOPE_HEADER]: scope },
        fetch: createRecordedFetch(
          { history, policyOf, wayOf: async () => ({ server: origin, origin }) },
          `client ${at + 1}`,
        ),
      },
      attempts: 100,
      backoff: { baseMs: 50, capMs: 500 },
      retryBudget: 1_000_000,
    }),
  );
}

function pick<Item>(items: readonly Item[], turn: number): Item {
  const item = items[turn % items.length];
  if (item === undefined) throw new RangeError("there is nothing to pick from");
  return item;
}
