/** Sends the first half of a reply, bytes on the wire, and then lets the trap strike. */
import type { ServerResponse } from "node:http";
import { isTrapped, passage, reach } from "./freeze.ts";

export function breakOff(raw: ServerResponse): void {
  const end = raw.end.bind(raw) as (...rest: readonly unknown[]) => ServerResponse;
  Object.assign(raw, {
    end(...given: readonly unknown[]): ServerResponse {
      const [payload, ...rest] = given;
      const isBytes = typeof payload === "string" || payload instanceof Uint8Array;
      if (!isBytes || passage.getStore()?.phase !== "handled" || !isTrapped("S8"))
        return end(...given);
      const bytes = Buffer.from(payload);
      const half = Math.floor(bytes.length / 2);
      raw.write(bytes.subarray(0, half));
      // Node holds the first write back for what follows in the same tick, and here nothing follows.
      while (raw.socket !== null && raw.socket.writableCorked > 0) raw.socket.uncork();
      reach("S8");
      return end(bytes.subarray(half), ...rest);
    },
  });
}
