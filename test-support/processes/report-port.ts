/** The other end of `supervised.ts`: reports of a server script to the process that started it. */
import type { AddressInfo } from "node:net";

export type ServerReport =
  | { readonly kind: "up"; readonly port: number }
  | { readonly kind: "failed"; readonly reason: string };

/** Ends this process together with the process that started it. */
export function endWithParent(): void {
  process.once("disconnect", () => process.exit());
  // The parent may have gone while this process was loading.
  if (!process.connected) process.exit();
}

/** Reports the port of an app to the parent process. */
export function reportPort(app: { addresses: () => (AddressInfo | string)[] }): void {
  const [address] = app.addresses();
  if (typeof address !== "object") throw new Error("the server has no port");
  sendReport({ kind: "up", port: address.port });
}

/** Sends the parent a message, unless the parent has just gone: a disconnect follows then. */
export function sendReport(message: ServerReport): void {
  process.send?.(message, undefined, undefined, () => undefined);
}
