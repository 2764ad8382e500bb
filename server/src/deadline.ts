/** Bounds the time for which a promise is awaited. */

const LATE = Symbol("late");

/**
 * Settles as `promise` does, or after `ms` as `onTimeout` returns or throws. The promise itself goes on; what it rejects with
 * later is ignored.
 */
export async function withDeadline<Value, Late>(
  promise: Promise<Value>,
  ms: number,
  onTimeout: () => Late,
): Promise<Value | Late> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(resolve, Math.max(0, ms), LATE);
  });
  try {
    const first = await Promise.race([promise, timeout]);
    return first === LATE ? onTimeout() : first;
  } finally {
    clearTimeout(timer);
  }
}
