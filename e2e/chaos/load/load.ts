/** Clients that work through a run's operations, some at once, with all that interferes. */
import { setTimeout as sleep } from "node:timers/promises";
import { Agent } from "undici";
import type { Order } from "../protocol/order.ts";
import type { Random } from "../protocol/random.ts";
import { ATTEMPT_MS, createFetchSend, createOncekeySend, createPlainSend } from "./clients.ts";
import type { Send, Sending } from "./clients.ts";
import type { ClientKind, Operation } from "./operation.ts";
import { createRecordedFetch } from "./recorder.ts";
import type { RecorderParts } from "./recorder.ts";
import { createUndiciSend } from "./undici.ts";

export interface LoadOptions extends RecorderParts {
  readonly clients: number;
  /** The next operation, or undefined when there are no more. */
  readonly next: () => Operation | undefined;
  /** Source of the pauses that the rig makes. */
  readonly random: Random;
  readonly signal: AbortSignal;
}

export interface Load {
  /** Resolves when every operation has ended. */
  readonly done: Promise<void>;
  /** The first request under each key, which settling repeats. */
  readonly firsts: readonly Sending[];
}

export function startLoad(options: LoadOptions): Load {
  const firsts: Sending[] = [];
  const agent = new Agent({ connect: { timeout: ATTEMPT_MS } });
  const other = createPlainSend(createRecordedFetch(options, "other (plain)"), options.random);
  const work = async (number: number): Promise<void> => {
    const own = createSends(options, `client ${number}`, agent);
    while (!options.signal.aborted) {
      const operation = options.next();
      if (operation === undefined) return;
      firsts.push(...keysOf(operation));
      // One client does one thing after the other.
      const { client, route } = operation;
      // Ours send nothing without a key.
      const kind = route.policy.isKeyless === true ? "plain" : client;
      await perform(operation, own[kind], other);
    }
  };
  const done = Promise.all(Array.from({ length: options.clients }, (_, number) => work(number)));
  return { done: done.then(() => agent.destroy()), firsts };
}

function createSends(parts: LoadOptions, who: string, agent: Agent): Record<ClientKind, Send> {
  return {
    oncekey: createOncekeySend(createRecordedFetch(parts, `${who} (oncekey)`), parts.history),
    fetch: createFetchSend(createRecordedFetch(parts, `${who} (fetch)`)),
    undici: createUndiciSend(parts, `${who} (undici)`, agent),
    plain: createPlainSend(createRecordedFetch(parts, `${who} (plain)`), parts.random),
  };
}

async function perform(operation: Operation, own: Send, other: Send): Promise<void> {
  const first = toSending(operation);
  const { duplicatesAfterMs, mismatch, strangerScope } = operation;
  if (first.key === undefined) return own(first);
  const interfering = duplicatesAfterMs.map((afterMs) => later(afterMs, () => other(first)));
  if (mismatch !== undefined) {
    const { order } = first;
    const changed: Sending =
      mismatch.part === "query"
        ? { ...first, search: "?gift=yes" }
        : { ...first, order: { ...order, amount: order.amount + 1 } };
    interfering.push(later(mismatch.afterMs, () => other(changed)));
  }
  if (strangerScope !== undefined) interfering.push(other({ ...first, scope: strangerScope }));
  await Promise.all([own(first), ...interfering]);
  return undefined;
}

async function later(afterMs: number, send: () => Promise<void>): Promise<void> {
  if (afterMs > 0) await sleep(afterMs);
  await send();
}

function keysOf(operation: Operation): Sending[] {
  const first = toSending(operation);
  if (first.key === undefined) return [];
  const { strangerScope } = operation;
  return strangerScope === undefined ? [first] : [first, { ...first, scope: strangerScope }];
}

function toSending({ id, scope, key, route, deed, amount, workMs }: Operation): Sending {
  const order: Order = { deed, amount, workMs };
  const { path, policy } = route;
  return {
    operation: id,
    scope,
    key: policy.isKeyless === true ? undefined : key,
    path,
    search: "",
    order,
  };
}
