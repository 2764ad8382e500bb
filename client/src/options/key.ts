/** Keys are minted here and nowhere else: once for each operation, outside of every loop. */
import { isKey } from "@oncekey/shared";

/** `v7` (default), `v4`, or a function of one's own. */
export type KeyOption = "v7" | "v4" | (() => string);

/**
 * Mints a key. UUIDv7 by default (RFC 9562 §5.7): it carries its time, so that a server can tell an old one, and lands at one end
 * of the server's index. It shows the client's clock; `v4` shows nothing. Neither needs a secure context.
 *
 * @param offsetMs what the clock of this machine has to be corrected by.
 * @throws TypeError if the function returns no key: 1–255 visible ASCII characters.
 */
export function mintKey(option: KeyOption = "v7", offsetMs: number = 0): string {
  const key = typeof option === "function" ? option() : mintUuid(option, Date.now() + offsetMs);
  if (!isKey(key)) throw new TypeError("key must return 1 to 255 visible ASCII characters");
  return key;
}

/** Random bytes in the layout of RFC 9562: §5.4 for 4, §5.7 for 7, which begins with the time. */
function mintUuid(option: "v7" | "v4", timeMs: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const view = new DataView(bytes.buffer);
  if (option === "v7") {
    view.setUint32(0, timeMs / 2 ** 16);
    view.setUint16(4, timeMs % 2 ** 16);
  }
  view.setUint8(6, (view.getUint8(6) & 0x0f) | (option === "v7" ? 0x70 : 0x40));
  view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
