/** Removes records whose operation is settled and no longer remembered. */
import type { OperationRecord } from "../records/record.ts";
import type { ClientContext } from "./operation-run.ts";

/** Timers beyond this would rarely end before the page does. */
const SHORT_MS = 60_000;

export function isOver({ settledAt, rememberedUntil = 0 }: OperationRecord): boolean {
  return settledAt !== undefined && rememberedUntil <= Date.now();
}

/** Removes the record of an instance if it is over. Takes a turn: a run that began since has written its own record there. */
export async function removeOver(client: ClientContext, id: string): Promise<void> {
  const ask = { id, identity: "tidy", signal: undefined, waitMs: 0 };
  await client.turns.run(ask, async ({ isAlone }) => {
    const handle = isAlone ? await client.records.open(id) : undefined;
    if (handle?.record && isOver(handle.record)) await handle.remove();
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
