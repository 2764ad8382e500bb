/** Lists the unresolved operations of earlier pages, and resumes them at start-up. */
import { isFunction, checkOptions } from "../validation/check.ts";
import type { PendingOperation } from "./result.ts";
import type { ClientContext, Definition } from "./operation-run.ts";
import { listLeft } from "./remove-settled.ts";
import { toPending } from "./settle.ts";

/** Options of `resumeAll`. */
export interface ResumeAllOptions {
  /**
   * Called before an operation of an earlier page is sent, because a price may have changed since; `false` leaves it pending. Default:
   * none, everything is sent.
   */
  readonly confirmLate?: ((pending: PendingOperation) => boolean | Promise<boolean>) | undefined;
}

/** Number of operations that are settled at once: a page that starts has other requests to make. */
const AT_ONCE = 4;

/** Lists what this owner left unresolved and runs in no tab, oldest first. Removes what is settled and no longer remembered. */
export async function listPending(
  client: ClientContext,
  definitionOf: (operation: string) => Definition,
): Promise<PendingOperation[]> {
  const found = await listLeft(client);
  return found
    .sort(([, a], [, b]) => a.createdAt - b.createdAt)
    .map(([id, record]) => {
      const { owner, operation, instance } = record;
      const definition = definitionOf(operation);
      return toPending({ client, definition, owner, instance, id }, record);
    });
}

/** Resumes all pending operations, a few at a time. Each result goes to `onSettled`. */
export async function resumeAll(
  pending: readonly PendingOperation[],
  { confirmLate }: ResumeAllOptions,
  { pageStartedAt, limitMs }: { readonly pageStartedAt: number; readonly limitMs: number },
): Promise<void> {
  const endsAt = Date.now() + limitMs;
  const queue = [...pending];
  const work = async (): Promise<void> => {
    for (let one = queue.shift(); one !== undefined; one = queue.shift()) {
      // The rest stays pending.
      if (Date.now() >= endsAt) return;
      await resumeOne(one, one.createdAt.getTime() < pageStartedAt ? confirmLate : undefined);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/** @throws TypeError that names a wrong option. */
export function checkResumeAll(options: ResumeAllOptions): void {
  checkOptions(options, { confirmLate: isFunction }, "resumeAll.");
}

async function resumeOne(
  pending: PendingOperation,
  confirmLate: ResumeAllOptions["confirmLate"],
): Promise<void> {
  if (confirmLate !== undefined && pending.canResume) {
    // A look starts nothing, and needs no answer of the user.
    const looked = await pending.check?.();
    if (looked !== undefined && (looked.kind !== "unknown" || looked.found !== false)) return;
    if (!(await confirmLate(pending))) return;
  }
  await pending.resume();
}
