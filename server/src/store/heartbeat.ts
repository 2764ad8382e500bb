/** Renews a lease while its handler runs, and knows when it can no longer be ours. */

export interface HeartbeatOptions {
  readonly durationMs: number;
  /** Renews the lease and says how many rows that changed; `undefined` where the database did not say. */
  readonly beat: () => Promise<number | undefined>;
  /** Told of each beat: how it ended, and how many milliseconds it took. */
  readonly onBeat: (outcome: "renewed" | "unanswered" | "taken-over", beatMs: number) => void;
  readonly onLost: (why: string) => void;
}

export interface Heartbeat {
  stop(): void;
}

// Two beats may fail before the lease is over.
const BEATS_PER_LEASE = 3;

export function startHeartbeat({ durationMs, beat, onBeat, onLost }: HeartbeatOptions): Heartbeat {
  let isStopped = false;
  let timer: NodeJS.Timeout;
  // Counted from before the beat was sent, so that it is never later than what the database counts from.
  let leaseEndsAt = performance.now() + durationMs;

  async function tick(): Promise<void> {
    const sentAt = performance.now();
    const rows = await beat();
    if (isStopped) return;
    const outcome = rows === undefined ? "unanswered" : rows === 0 ? "taken-over" : "renewed";
    onBeat(outcome, performance.now() - sentAt);
    if (outcome === "taken-over") return onLost("another owner took the claim over");
    if (outcome === "renewed") leaseEndsAt = sentAt + durationMs;
    // Not renewed in time: somebody else may have it, and nobody can be asked.
    else if (performance.now() >= leaseEndsAt)
      return onLost("the lease could not be renewed in time");
    schedule();
  }

  function schedule(): void {
    timer = setTimeout(() => void tick(), durationMs / BEATS_PER_LEASE);
    // The handler's own work keeps the process alive; a lease without it may run out.
    timer.unref();
  }

  schedule();
  return {
    stop() {
      isStopped = true;
      clearTimeout(timer);
    },
  };
}
