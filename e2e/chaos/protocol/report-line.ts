/** Lines that a server of the rig writes to it on a pipe: a write has its effect before it returns, so a kill loses none. */
import { writeSync } from "node:fs";
import type { Trap } from "./boundaries.ts";

export type ReportLine =
  | { readonly kind: "caught"; readonly trap: Trap }
  | { readonly kind: "crashed"; readonly keyDigest: string }
  | { readonly kind: "held" };

// The pipe to the rig, behind the three standard ones and the channel.
const REPORT_FD = 4;

export function reportLine(line: ReportLine): void {
  writeSync(REPORT_FD, `${JSON.stringify(line)}\n`);
}
