/** Removes leftovers: records that are settled and no longer remembered, and bytes without a record. */
import type { OperationRecord } from "../records/record.ts";
import type { Listed } from "../records/record-store.ts";
import type { ClientContext } from "./operation-run.ts";

/** Timers beyond this would rarely end before the page does. */
const SHORT_MS = 60_000;

const swept = new WeakSet<ClientContext>();

function isOver({ settledAt, rememberedUntil = 0 }: OperationRecord): boolean {
  return settledAt !== undefined && rememberedUntil <= Date.now();
}

/** Lists the unresolved records of the signed-in user that run in no tab, and removes what is over. */
export async function listLeft(client: ClientContext): Promise<[string, OperationRecord][]> {
  const { names, records, turns } = client;
  swept.add(client);
  const owner = client.owner();
  const live = await turns.live();
  const found = (await records.list(names.prefixOf(owner))).filter(({ id }) => !live.has(id));
  const isPast = ({ record, isStray }: Listed): boolean =>
    isStray || (record !== undefined && isOver(record));
  await Promise.all(found.filter(isPast).map(({ id }) => removeOver(client, id)));
  return found.flatMap(({ id, record }) =>
    record !== undefined && record.owner === owner && record.settledAt === undefined
      ? [[id, record]]
      : [],
  );
}

/** Removes what is over, once in the life of a client: a page that never lists what is pending would keep all of it. */
export function sweepOnce(client: ClientContext): void {
  if (swept.has(client)) return;
  // If `owner` throws, the next run throws as well.
  listLeft(client).catch(() => undefined);
}

/** Removes what is over of an instance. Takes a turn: a run that began since has written its own record there. */
async function removeOver(client: ClientContext, id: string): Promise<void> {
  const ask = { id, identity: "tidy", signal: undefined, waitMs: 0 };
  await client.turns.run(ask, async ({ isAlone }) => {
    const handle = isAlone ? await client.records.open(id) : undefined;
    if (handle?.record && isOver(handle.record)) await handle.remove();
    if (handle) await client.records.removeStray(id);
    // No run joins it, so that no caller sees this.
    return undefined as never;
  });
}

/** Removes the record when it is over, if that is soon. */
export function removeLater(client: ClientContext, id: string, until: number): void {
  const waitMs = until - Date.now();
  if (waitMs <= 0 || waitMs > SHORT_MS) return;
  // Some platforms end a timer a millisecond early.
  const timer: unknown = setTimeout(() => void removeOver(client, id), waitMs + 1);
  (timer as { readonly unref?: () => void }).unref?.();
}
