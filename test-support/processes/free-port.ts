/** Ports of 127.0.0.1 that are free. Another process may take one between the check and the use, so what starts there may fail. */
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

// Below the ports that the system hands out for `listen(0)` (from 32768 on): none of those takes it before its use.
const LOWEST = 15_000;
const HIGHEST = 32_000;
const TRIES = 100;

export async function freePort(): Promise<number> {
  for (let left = TRIES; left > 0; left -= 1) {
    const port = randomInt(LOWEST, HIGHEST);
    const probe = createServer().listen(port, "127.0.0.1");
    try {
      await once(probe, "listening");
    } catch {
      continue;
    }
    probe.close();
    await once(probe, "close");
    return port;
  }
  throw new Error(`no free port of 127.0.0.1 from ${LOWEST} to ${HIGHEST}`);
}
