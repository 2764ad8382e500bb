/** The end of a record: whether it is still on the shelf, and what is left there once it is settled and told. */
import { recordId } from "../records/record-store.ts";
import type { OperationRecord, Shelf } from "../records/record-store.ts";
import type { Tabs } from "../tabs/tab-lock.ts";

interface Parts {
  readonly shelf: Shelf;
  readonly tabs: Tabs;
}

/** Whether it is on the shelf still, and no other one of the instance. */
export async function isCurrent({ shelf }: Parts, record: OperationRecord): Promise<boolean> {
  return (await shelf.read(recordId(record)))?.key === record.key;
}

/**
 * Lets go of what is settled; those who wait for their turn find it once more, in case that they were not told.
 *
 * @param toldAt who asks later asks for another one. Default: the end, for what is told after it.
 */
export async function letGo(parts: Parts, record: OperationRecord, toldAt?: number): Promise<void> {
  if (!(await isCurrent(parts, record))) return;
  const { shelf, tabs } = parts;
  const id = recordId(record);
  if (!(await tabs.isAwaited(id))) return shelf.remove(id);
  await shelf.write({ ...record, settledAt: record.settledAt ?? toldAt ?? tabs.nowAt() });
}
