/** What is left unfinished and runs in no tab: for a page that starts. */
import type { OperationParts } from "./exclusive-run.ts";
import { recordId } from "../records/record-store.ts";
import type { OperationRecord } from "../records/record-store.ts";

/** Lists it. What a crash left behind although it was settled is cleared away. */
export async function listUnresolved(parts: OperationParts): Promise<OperationRecord[]> {
  const { shelf, live, tabs } = parts;
  const elsewhere = await tabs.live();
  const records = (await shelf.list()).filter((record) => {
    const id = recordId(record);
    return !live.isLive(id) && !elsewhere.has(id);
  });
  const settled = records.filter(({ settledAt }) => settledAt !== undefined);
  await Promise.all(settled.map((record) => clear(parts, record)));
  return records.filter(({ settledAt }) => settledAt === undefined);
}

async function clear({ shelf, tabs }: OperationParts, record: OperationRecord): Promise<void> {
  const id = recordId(record);
  await tabs.take(id, { signal: undefined, waitMs: 0 }, async ({ isAlone }) => {
    // Only in its turn: a run that has begun meanwhile has written its own record there.
    const found = isAlone ? await shelf.read(id) : undefined;
    if (found?.settledAt !== undefined) await shelf.remove(id);
  });
}
