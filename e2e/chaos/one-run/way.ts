/** Which server an attempt goes to, and whether the fault proxy gets it on its way. */
import { FAULT_KINDS } from "../../fault-proxy/fault.ts";
import type { Way } from "../load/recorder.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { Random } from "../protocol/random.ts";

// Faults of the wire; the striker ends servers.
const WIRE_FAULTS = FAULT_KINDS.filter((kind) => kind !== "kill-server");

/** @param wireFaults of all attempts, how many are hurt. */
export async function chooseWay(fleet: Fleet, random: Random, wireFaults: number): Promise<Way> {
  const fault = random.pick(WIRE_FAULTS);
  if (random.chance(wireFaults)) return { server: "proxy", origin: fleet.proxyOrigin, fault };
  const { name, port } = await fleet.anyServer();
  return { server: name, origin: `http://127.0.0.1:${port}` };
}
