/**
 * Interruptions of a run: a Ctrl-C, a `kill`, a terminal or a reader that has gone. The run still
 * judges, reports and tidies up.
 */

/** Exit code: no promise was broken, but not all that was planned has been tried. */
export const INCOMPLETE = 2;

// Package managers pass a Ctrl-C on beside the terminal, so that one becomes two.
const SAME_MS = 500;

/** Listens from now on; the signal aborts with the first of them, and a second Ctrl-C ends the process at once. */
export function listenForEnd(): AbortSignal {
  const controller = new AbortController();
  let firstAt = Infinity;
  const end = (why: string): void => {
    if (controller.signal.aborted) return;
    firstAt = performance.now();
    controller.abort();
    console.error(`${why}: judging what has happened; a second Ctrl-C ends at once`);
  };
  process.on("SIGINT", () => {
    if (performance.now() > firstAt + SAME_MS) process.exit(INCOMPLETE);
    end("SIGINT");
  });
  // A terminal that closes sends SIGHUP more than once.
  for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, () => end(signal));
  for (const stream of [process.stdout, process.stderr])
    stream.on("error", () => end("nobody reads any more"));
  return controller.signal;
}
