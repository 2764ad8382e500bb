/** What the device knows of its connection: a hint that delays, and never decides. */

/** Whether the device says that it has no connection. Where it says nothing, such as in Node, it has one. */
export function isOffline(): boolean {
  return (globalThis.navigator as Navigator | undefined)?.onLine === false;
}
