/** Renews a lease while its handler runs, and detects that it was lost. */

export interface HeartbeatOptions {
  readonly durationMs: number;
  /** Before the claim was asked for, on the clock of `performance.now()`. */
  readonly askedAt: number;
  /** Renews the lease and resolves with the number of changed rows, or `undefined` without an answer. */
  readonly beat: () => Promise<number | undefined>;
  /** Called after each beat with its outcome and its duration in ms. */
  readonly onBeat: (outcome: "renewed" | "unanswered" | "taken-over", beatMs: number) => void;
  readonly onLost: (why: string) => void;
}

export interface Heartbeat {
  stop(): void;
}

// One beat may fail before the lease is over.
const BEATS_PER_LEASE = 3;
// A silent line keeps its beat for longer than a short lease lasts: the next one does not wait for it.
const MAX_UNANSWERED = 2;

export function startHeartbeat(options: HeartbeatOptions): Heartbeat {
  const { durationMs, askedAt, beat, onBeat, onLost } = options;
  const unanswered = new Set<number>();
  let isStopped = false;
  let timer: NodeJS.Timeout;
  let end: NodeJS.Timeout;
  // Counted from before the database was asked, so that it is never later than what that counts from.
  let leaseEndsAt = askedAt + durationMs;

  async function tick(): Promise<void> {
    const sentAt = performance.now();
    schedule(sentAt);
    if (unanswered.size >= MAX_UNANSWERED) return;
    unanswered.add(sentAt);
    const rows = await beat();
    unanswered.delete(sentAt);
    if (isStopped) return;
    const outcome = rows === undefined ? "unanswered" : rows === 0 ? "taken-over" : "renewed";
    onBeat(outcome, performance.now() - sentAt);
    if (outcome === "taken-over") onLost("another owner took the claim over");
    if (outcome !== "renewed") return;
    leaseEndsAt = Math.max(leaseEndsAt, sentAt + durationMs);
    awaitEnd();
  }

  function schedule(sentAt: number): void {
    timer = runAt(sentAt + durationMs / BEATS_PER_LEASE, () => void tick());
  }

  // Not renewed in time: another owner may have it, and the database does not answer.
  function awaitEnd(): void {
    clearTimeout(end);
    end = runAt(leaseEndsAt, () => {
      for (const sentAt of unanswered) onBeat("unanswered", performance.now() - sentAt);
      onLost("the lease could not be renewed in time");
    });
  }

  awaitEnd();
  schedule(askedAt);
  return {
    stop() {
      clearTimeout(end);
      isStopped = true;
      clearTimeout(timer);
    },
  };
}

function runAt(at: number, run: () => void): NodeJS.Timeout {
  // The handler's own work keeps the process alive; a lease without it may run out.
  return setTimeout(run, Math.max(0, at - performance.now())).unref();
}
