/** Shows how far a run is, on one line of a terminal, or as lines at intervals. */

/** Called before each step. */
export type OnProgress = (done: number, all: number, what: string) => void;
const LINE_EVERY_MS = 10_000;

export function showProgress(stream: NodeJS.WriteStream = process.stderr): OnProgress {
  const startedAt = performance.now();
  let saidAt = -Infinity;
  return (done, all, what) => {
    const now = performance.now();
    if (!stream.isTTY && now - saidAt < LINE_EVERY_MS) return;
    saidAt = now;
    const leftMs = done === 0 ? undefined : ((now - startedAt) / done) * (all - done);
    const left = leftMs === undefined ? "" : `, ${Math.round(leftMs / 1_000)} s left`;
    const line = `${done} of ${all}${left}: ${what}`;
    stream.write(stream.isTTY ? `\r\u001b[2K${line}` : `${line}\n`);
  };
}
