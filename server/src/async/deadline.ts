/** Bounds the time for which a promise is awaited. */

/**
 * Settles as `promise` does, or after `ms`, or when `signal` aborts, as `onTimeout` returns or throws. The promise itself goes
 * on; what it rejects with later is ignored.
 */
export function withDeadline<Value, Late>(
  promise: Promise<Value>,
  ms: number,
  onTimeout: () => Late,
  signal?: AbortSignal,
): Promise<Value | Late> {
  return new Promise((resolve, reject) => {
    const giveUp = (): void => {
      settle();
      try {
        resolve(onTimeout());
      } catch (error) {
        reject(error);
      }
    };
    const timer = setTimeout(giveUp, Math.max(0, ms));
    const settle = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
    };
    signal?.addEventListener("abort", giveUp, { once: true });
    promise.then(
      (value) => {
        settle();
        return resolve(value);
      },
      (error: unknown) => {
        settle();
        return reject(error);
      },
    );
  });
}
