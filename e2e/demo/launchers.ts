/** The commands that launched this process, and the end of them: npx and pnpm do not pass a SIGTERM on. */
import { findProcess } from "@oncekey/test-support/processes/processes";

const PERIOD_MS = 300;
/** The program itself, not a shell that runs it: a shell may leave it in the background and end. */
const LAUNCHER = /^(\S*node\S* )?\S*\b(npm|npx|pnpm)\b/;

/** Calls `onGone` once if npx, npm or pnpm launched this process and one of them ends. */
export async function watchLaunchers(onGone: () => void): Promise<void> {
  const launchers = await findLaunchers();
  if (launchers.length === 0) return;
  const check = async (): Promise<void> => {
    const found = await Promise.all(launchers.map(findProcess));
    if (found.includes(undefined)) onGone();
    else setTimeout(() => void check(), PERIOD_MS).unref();
  };
  void check();
}

/** The ancestors of this process up to the highest that is a launcher. */
async function findLaunchers(): Promise<number[]> {
  const ancestors: number[] = [];
  let height = 0;
  let parent = await findProcess(process.ppid);
  while (parent !== undefined) {
    ancestors.push(parent.pid);
    if (LAUNCHER.test(parent.command)) height = ancestors.length;
    parent = await findProcess(parent.parent);
  }
  return ancestors.slice(0, height);
}
