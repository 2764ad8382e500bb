/** The device's own view of its connection: a hint that delays an attempt and never prevents it. */

/** Whether the device reports that it has no connection. Node reports nothing and counts as online. */
export function isOffline(): boolean {
  return (globalThis.navigator as Navigator | undefined)?.onLine === false;
}
