/** Keys are minted here and nowhere else: once for each operation, outside of every loop. */
import { isKey, KEY_RULE } from "@oncekey/shared";
import { v4, v7 } from "uuid";

/** `v7` (default), `v4`, or a function of one's own. */
export type KeyOption = "v7" | "v4" | (() => string);

/**
 * Mints a key. UUIDv7 by default (RFC 9562 §5.7): its time lets a server recognise an old key, and places new keys at one end of
 * the server's index. It shows the client's clock; `v4` shows nothing. Neither needs a secure context.
 *
 * @param offsetMs what the clock of this machine has to be corrected by.
 * @throws TypeError if the function returns no key: 1–255 visible ASCII characters.
 */
export function mintKey(option: KeyOption = "v7", offsetMs: number = 0): string {
  const key = typeof option === "function" ? option() : mintUuid(option, offsetMs);
  if (!isKey(key)) throw new TypeError(`key must return ${KEY_RULE}`);
  return key;
}

function mintUuid(option: "v7" | "v4", offsetMs: number): string {
  // With its time: without, uuid never goes back when the clock is set right.
  return option === "v7" ? v7({ msecs: Date.now() + offsetMs }) : v4();
}
