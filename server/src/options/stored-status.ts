/** The statuses of replies that are stored: 2xx always, 5xx never, and in between the option or the final ones. */

const NOT_FINAL: ReadonlySet<number> = new Set([401, 403, 408, 409, 423, 424, 425, 429]);

/**
 * Returns whether a reply with a status is stored.
 *
 * @param option the option `storeStatus`. The returned function throws TypeError unless it returns a boolean: a promise
 *   would count as true.
 */
export function storedStatus(
  option: (status: number) => unknown = isFinal,
): (status: number) => boolean {
  return (status) => {
    if (status < 200 || status >= 500) return false;
    if (status < 300) return true;
    const isStored = option(status);
    if (typeof isStored === "boolean") return isStored;
    if (isStored instanceof Promise) isStored.catch(() => {});
    throw new TypeError("idempotency option storeStatus must return true or false synchronously");
  };
}

function isFinal(status: number): boolean {
  return !NOT_FINAL.has(status);
}
