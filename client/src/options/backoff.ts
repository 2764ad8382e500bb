/** Length of the waits between attempts, and the budget of retries. */

/** Bounds of the waits between attempts. */
export interface BackoffOptions {
  /**
   * Upper end of the first wait, in ms. It doubles with each attempt.
   *
   * @range 1–60_000
   * @default 500
   */
  readonly baseMs?: number | undefined;
  /**
   * Upper end of every wait, in ms.
   *
   * @range 1–600_000
   * @default 8_000
   */
  readonly capMs?: number | undefined;
}

/** {@link BackoffOptions} with every default in place. */
export interface Backoff {
  readonly baseMs: number;
  readonly capMs: number;
}

/**
 * Returns a wait with full jitter, from 0 to min(cap, base × 2^(attempt − 1)). Clients that failed together do not retry together
 * ("Exponential Backoff And Jitter", AWS Architecture Blog).
 *
 * @param attempt how many have been made, from 1.
 */
export function fullJitterMs(attempt: number, { baseMs, capMs }: Backoff): number {
  return Math.random() * Math.min(capMs, baseMs * 2 ** (attempt - 1));
}

/**
 * Returns the wait that a response requires, in ms; the longest of several, `undefined` if none is readable. `retry-after-ms` comes
 * before `Retry-After` (RFC 9110 §10.2.3), which has whole seconds or a date. A date counts from the reply's own `Date`, because the
 * clock of the device may be wrong.
 */
export function retryAfterMs(headers: Headers, now: number = Date.now()): number | undefined {
  const exact = headers.get("retry-after-ms") ?? "";
  if (/^\d+(\.\d+)?$/.test(exact)) return Number(exact);
  const start = Date.parse(headers.get("date") ?? "") || now;
  // A proxy may add a line of its own. The comma in a date follows the name of its day.
  const values = (headers.get("retry-after") ?? "").match(/[A-Z][a-z]+, [^,]+|[^,]+/g) ?? [];
  const waits = values.map((value) => {
    const text = value.trim();
    if (/^\d+$/.test(text)) return Number(text) * 1000;
    // Date.parse would read more, "-1" among it.
    return /^[A-Z]/i.test(text) ? Math.max(0, Date.parse(text) - start) : Number.NaN;
  });
  const known = waits.filter((wait) => !Number.isNaN(wait));
  return known.length === 0 ? undefined : Math.max(...known);
}

/** The instant in so many milliseconds. */
export function later(waitMs: number | undefined): Date | undefined {
  const at = new Date(Date.now() + (waitMs ?? Number.NaN));
  // A number that no date can hold is a floor all the same, but nothing to plan with.
  return Number.isNaN(at.getTime()) ? undefined : at;
}

/** Retries that the whole client has left. */
export interface RetryBudget {
  /** Takes one, if there is one. */
  take(): boolean;
  /** A success gives one back. */
  refill(): void;
}

/** @param size how many retries there are at most. An outage then costs that many, and not a multiple of all calls. */
export function createRetryBudget(size: number = 10): RetryBudget {
  let left = size;
  return {
    take() {
      if (left < 1) return false;
      left -= 1;
      return true;
    },
    refill() {
      left = Math.min(size, left + 1);
    },
  };
}
